// Logs, TensorBoard events (read back by Python, not by us) and the report.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "base/read_file.h"
#include "train/runlog/event_file.h"
#include "train/runlog/report.h"
#include "train/runlog/run_log.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

class RunLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mobilevlm-runlog-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Text(const std::string& name) const {
    return ReadFile(directory_ + "/" + name, 1 << 24).value_or("");
  }

  std::string directory_;
};

// A reader that shares nothing with the writer: record lengths, both checksums bit by bit, protobuf fields.
constexpr const char* kReader = R"py(
import struct, sys
def crc(data):
    c = 0xffffffff
    for b in data:
        c ^= b
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    c ^= 0xffffffff
    return ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff
def varint(d, i):
    v = s = 0
    while True:
        v |= (d[i] & 127) << s; s += 7; i += 1
        if d[i - 1] < 128: return v, i
def fields(d):
    i = 0
    while i < len(d):
        k, i = varint(d, i)
        if k & 7 == 0: v, i = varint(d, i)
        elif k & 7 == 1: v, i = struct.unpack('<d', d[i:i+8])[0], i + 8
        elif k & 7 == 5: v, i = struct.unpack('<f', d[i:i+4])[0], i + 4
        else:
            n, i = varint(d, i); v, i = d[i:i+n], i + n
        yield k >> 3, v
data = open(sys.argv[1], 'rb').read(); at = 0
while at < len(data):
    n, = struct.unpack('<Q', data[at:at+8])
    assert struct.unpack('<I', data[at+8:at+12])[0] == crc(data[at:at+8])
    event = data[at+12:at+12+n]
    assert len(event) == n and struct.unpack('<I', data[at+12+n:at+16+n])[0] == crc(event)
    at += 16 + n
    out = []
    for f, v in fields(event):
        if f == 1: out.append('time %g' % v)
        elif f == 2: out.append('step %d' % v)
        elif f == 3: out.append('version ' + v.decode())
        elif f == 7: out.append('session %d' % dict(fields(v))[1])
        elif f == 5:
            for _, value in fields(v):
                value = dict(fields(value)); out.append('%s %g' % (value[1].decode(), value[2]))
    print('; '.join(out))
)py";

TEST_F(RunLogTest, EventsAreReadByAnIndependentParser) {
  auto events = EventFile::Create(directory_, 300, 1.5);
  ASSERT_TRUE(events.has_value()) << events.error().message;
  const std::pair<std::string, double> scalars[] = {{"loss", 2.25}, {"validation/name", 0.5}};
  ASSERT_TRUE(events->Write(301, 2.5, scalars).has_value());
  std::ofstream(directory_ + "/reader.py") << kReader;
  const std::string command = fmt::format("python3 {0}/reader.py {1}", directory_, events->path());
  std::FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string out;
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_EQ(out,
            "time 1.5; version brain.Event:2\n"
            "time 1.5; step 301; session 1\n"
            "time 2.5; step 301; loss 2.25; validation/name 0.5\n");
}

TEST(Crc32c, HasThePublishedValue) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);  // RFC 3720, appendix B.4 polynomial; the usual check value
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720: 32 bytes of zeroes
}

TEST_F(RunLogTest, ContinuingDropsWhatWillBeWrittenAgain) {
  {
    auto log = RunLog::Open(directory_ + "/stage", 0);
    ASSERT_TRUE(log.has_value()) << log.error().message;
    for (int step = 1; step <= 5; ++step) log->Add({{"step", step}, {"loss", 1.0 / step}});
  }
  std::ofstream(directory_ + "/stage/log.jsonl", std::ios::app) << "{\"step\": 6, \"lo";  // a kill
  auto log = RunLog::Open(directory_ + "/stage", 3);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  log->Add({{"step", 4}, {"loss", 9.0}});
  const auto lines = ReadLog(directory_ + "/stage/log.jsonl");
  ASSERT_TRUE(lines.has_value()) << lines.error().message;
  ASSERT_EQ(lines->size(), 4u);
  EXPECT_EQ((*lines)[2]["loss"].get<double>(), 1.0 / 3);
  EXPECT_EQ((*lines)[3]["loss"].get<double>(), 9.0);
}

TEST_F(RunLogTest, AValidationJoinsItsLine) {
  auto log = RunLog::Open(directory_, 0);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  log->Add({{"step", 1}, {"loss", 1.0}});
  log->Add({{"step", 2}, {"loss", 2.0}});
  log->AddValidation({{"step", 2}, {"loss", 2.0}, {"validation", {{"name", 0.5}}}});
  log->Add({{"step", 3}, {"loss", 3.0}});
  const auto lines = ReadLog(directory_ + "/log.jsonl");
  ASSERT_TRUE(lines.has_value()) << lines.error().message;
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ((*lines)[0]["step"], 1);
  EXPECT_EQ((*lines)[1]["validation"]["name"], 0.5);
  EXPECT_FALSE((*lines)[2].contains("validation"));
}

// A disk that is full takes a part of a line.
TEST_F(RunLogTest, ALineThatDoesNotFitSpoilsNoOther) {
  auto log = RunLog::Open(directory_, 0);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  log->Add({{"step", 1}, {"loss", 1.0}});
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{fs::file_size(directory_ + "/log.jsonl") + 10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &full);
  log->Add({{"step", 2}, {"loss", 2.0}});
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  log->Add({{"step", 3}, {"loss", 3.0}});
  const auto lines = ReadLog(directory_ + "/log.jsonl");
  ASSERT_TRUE(lines.has_value()) << lines.error().message;
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[1]["step"].get<int>(), 3);
}

TEST_F(RunLogTest, ABrokenLineInTheMiddleIsAnError) {
  std::ofstream(directory_ + "/log.jsonl")
      << "{\"step\": 1, \"loss\": 2}\nrubbish\n{\"step\": 2, \"loss\": 2}\n";
  const auto lines = ReadLog(directory_ + "/log.jsonl");
  ASSERT_FALSE(lines.has_value());
  EXPECT_EQ(lines.error().message, directory_ + "/log.jsonl:2: wanted a JSON object with step and loss");
}

TEST(ProgressLine, HasLossRateSpeedAndTheTimeLeft) {
  EXPECT_EQ(ProgressLine("lora", {{"step", 10}, {"loss", 2.5}, {"lr", 2e-4}, {"tokens_per_second", 1234.4}},
                         40, 75),
            "lora step 10/40 loss 2.5000 lr 0.0002 1234 tokens/s, 1 min 15 s left");
}

TEST_F(RunLogTest, ReportHoldsEveryStageAndNothingFromElsewhere) {
  for (const std::string stage : {"one", "two"}) {
    auto log = RunLog::Open(directory_ + "/" + stage, 0);
    ASSERT_TRUE(log.has_value());
    for (int step = 10; step <= 30; step += 10) {
      nlohmann::json line{{"step", step},         {"loss", 30.0 / step},        {"lr", 1e-4},
                          {"gradient_norm", 2.0}, {"tokens_per_second", 900.0}, {"token_accuracy", 0.5}};
      if (step == 30) line["validation"] = {{"name", 0.75}, {"blank", {{"name", 0.25}}}};
      log->Add(line);
    }
  }
  ASSERT_TRUE(
      WriteSamples(directory_ + "/two", 30, {{"What <is> it?", "a cat", "a dog", "PNG"}}).has_value());
  const Status written = WriteReport(directory_, directory_ + "/report.html");
  ASSERT_TRUE(written.has_value()) << written.error().message;
  const std::string html = Text("report.html");
  for (const std::string part : {"<h2>one</h2>", "<h2>two</h2>", "learning rate", "gradient norm",
                                 "tokens per second", "token accuracy", "validation blank",
                                 "What &lt;is&gt; it?", "wanted: a cat", "data:image/png;base64,UE5H"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  for (const std::string outside : {"http:", "https:", "<script", "src=\"/", "@import", "url("}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
  EXPECT_FALSE(WriteReport(directory_ + "/one/none", directory_ + "/x.html").has_value());
}

}  // namespace
}  // namespace mobilevlm::train
