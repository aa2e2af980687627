// `mobilevlm data` as a user runs it, on annotations that the mini world writes and on bad ones.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "files.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

class DataTest : public testing::Test {
 protected:
  // 24 samples of the mini world, two of each kind.
  void SetUp() override {
    const ProcessResult made =
        Process::Run({"world", "--split", "test", "--per-kind", "2", "--out", Path("world")});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    annotations_ = Path("world/annotations.json");
  }
  std::string Path(const std::string& name) const { return directory_.Path(name); }
  ProcessResult Data(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "data");
    arguments.insert(arguments.end(), {"--threads", "2"});
    return Process::Run(arguments);
  }
  // The JSON that a command prints.
  nlohmann::json DataJson(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const ProcessResult result = Data(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }
  // One sample of these turns, written to a file.
  std::string Write(const std::string& turns, const std::string& image = "") {
    return directory_.Write("bad.json",
                            "[{\"id\": \"odd one\", " + image + "\"conversations\": [" + turns + "]}]");
  }

  TemporaryDirectory directory_;
  std::string annotations_;
};

TEST_F(DataTest, CheckOfAGoodSet) {
  const nlohmann::json report =
      DataJson({"check", annotations_, "--tokenizer", golden::Path("nano-ldpv2/hf/tokenizer.model")});
  EXPECT_EQ(report["samples"], 24);
  EXPECT_EQ(report["unusable"], 0);
  EXPECT_EQ(report["pictures"], 24);
  EXPECT_EQ(report["without_labels"], 0);
  EXPECT_GT(report["supervised"], 24);
}

TEST_F(DataTest, MissingAndBrokenPicturesAreCountedListedAndLimited) {
  nlohmann::json list = nlohmann::json::parse(Slurp(annotations_));
  std::filesystem::remove(Path("world/" + list[0]["image"].get<std::string>()));
  directory_.Write("world/" + list[1]["image"].get<std::string>(), "no picture");
  const ProcessResult strict = Data({"check", annotations_, "--list", Path("list.txt")});
  EXPECT_EQ(strict.exit_code, 2);
  EXPECT_NE(strict.err.find("2 of 24 samples cannot be used, 8.33 %, more than 1 %; the first: "),
            std::string::npos)
      << strict.err;
  const std::string lines = Slurp(Path("list.txt"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_NE(lines.find("sample 1 (id " + list[0]["id"].get<std::string>() + ")"), std::string::npos) << lines;
  EXPECT_NE(lines.find("no such picture"), std::string::npos) << lines;
  EXPECT_EQ(DataJson({"check", annotations_, "--limit", "10"})["unusable"], 2);
}

TEST_F(DataTest, BadSamplesAreNamed) {
  const std::string ask = R"({"from": "human", "value": "What?"})",
                    answer = R"({"from": "gpt", "value": "A dog"})";
  const struct {
    std::string turns, image, words;
  } cases[] = {
      {ask + "," + ask, "", "wrong roles: turn 2"},
      {R"({"from": "user", "value": "What?"},)" + answer, "", "found 'user'"},
      {ask, "", "no answer: question 1"},
      {R"({"from": "human", "value": "<image>\nWhat?"},)" + answer, "", "image mark without image"},
  };
  for (const auto& c : cases) {
    const ProcessResult result = Data({"check", Write(c.turns, c.image)});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find("bad.json: sample 1 (id odd one): "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(c.words), std::string::npos) << result.err;
  }
}

TEST_F(DataTest, MalformedJsonNamesFileAndByte) {
  const std::string good = Slurp(annotations_);
  const auto refuse = [&](const std::string& text, const std::string& words) {
    ExpectRefusal(Data({"check", directory_.Write("cut.json", text)}), {"cut.json", words});
  };
  refuse(good.substr(0, 1000), "byte ");
  refuse("[{\"a\": 1 \"b\": 2}]", "byte 11: malformed JSON");
  refuse("", "byte 0: malformed JSON: wanted a list of samples, found the end of the file");
  refuse("[]", "no sample");
  ExpectRefusal(Data({"stats", Path("nowhere.json")}), {"nowhere.json: cannot open"});
  ExpectRefusal(Data({"mix", annotations_, "-o", Path("x.json"), "--kind", "nosuch=1"}),
                {"no kind is called 'nosuch'"});
  ExpectRefusal(Data({"mix", annotations_, "-o", Path("x.json"), "--kind", "nosuch"}), {"NAME=NUMBER"});
  const ProcessResult unwritable = Data({"dedup", annotations_, "-o", Path("nodir/x.json")});
  EXPECT_EQ(unwritable.exit_code, 2);
  EXPECT_NE(unwritable.err.find("nodir/x.json"), std::string::npos) << unwritable.err;
}

// The pictures' hashes, which reading them leaves behind, are not there: the work had not begun.
TEST_F(DataTest, NamesThatCannotBeWrittenEndTheCommandBeforeTheWork) {
  const std::string no = Path("nodir/x");
  const struct {
    std::vector<std::string> arguments;
    std::string words;
  } cases[] = {
      {{"dedup", annotations_, "-o", annotations_}, "wanted a new file"},
      {{"dedup", annotations_, "-o", no}, "nodir/x"},
      {{"dedup", annotations_, "-o", Path("x.json"), "--list", no}, "nodir/x"},
      {{"dedup", annotations_, "-o", Path("x.json"), "--html", no}, "nodir/x"},
      {{"leak", annotations_, "--eval", annotations_, "-o", annotations_}, "wanted a new file"},
      {{"leak", annotations_, "--eval", annotations_, "--list", no}, "nodir/x"},
      {{"leak", annotations_, "--eval", annotations_, "--html", no}, "nodir/x"},
      {{"check", annotations_, "--list", no}, "nodir/x"},
      {{"check", annotations_, "--list", annotations_}, "wanted a new file"},
      {{"stats", annotations_, "--html", annotations_}, "wanted a new file"},
      {{"dedup", annotations_, "-o", Path("x"), "--list", Path("./x")}, "found this name twice"},
      {{"stats", annotations_, "--html", no}, "nodir/x"},
  };
  for (const auto& c : cases) {
    ExpectRefusal(Data(c.arguments), {c.words});
    EXPECT_FALSE(std::filesystem::exists(annotations_ + ".pictures")) << c.arguments[0];
  }
  for (const auto& entry : std::filesystem::directory_iterator(Path(""))) {
    EXPECT_EQ(entry.path().filename(), "world");  // no half-written file
  }
}

TEST_F(DataTest, LeakSaysWhichPicturesCouldNotBeRead) {
  const ProcessResult wrong = Data(
      {"leak", annotations_, "--eval", annotations_, "--eval-images", Path("wrong"), "-o", Path("x.json")});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_EQ(wrong.out, "");
  EXPECT_NE(
      wrong.err.find("no such picture; no picture of the evaluation can be read: is the directory of its "
                     "pictures right?"),
      std::string::npos)
      << wrong.err;
  EXPECT_FALSE(std::filesystem::exists(Path("x.json")));
  std::filesystem::remove(
      Path("world/" + nlohmann::json::parse(Slurp(annotations_))[0]["image"].get<std::string>()));
  const nlohmann::json leaks = DataJson({"leak", annotations_, "--eval", annotations_});
  EXPECT_EQ(leaks["evaluation_unread_pictures"], 1);
  EXPECT_EQ(leaks["unread_pictures"], 1);
  const ProcessResult text = Data({"leak", annotations_, "--eval", annotations_});
  EXPECT_NE(text.out.find("1  evaluation samples with a picture that cannot be read and was not compared: "),
            std::string::npos)
      << text.out;
}

TEST_F(DataTest, DedupMixLeakAndPages) {
  // The set twice, once more as another file: everything is there twice.
  nlohmann::json list = nlohmann::json::parse(Slurp(annotations_));
  const std::string copy = directory_.Write("world/copy.json", list.dump());
  const nlohmann::json found = DataJson({"dedup", annotations_, copy, "-o", Path("world/unique.json"),
                                         "--html", Path("d.html"), "--list", Path("d.jsonl")});
  EXPECT_EQ(found["exact_duplicates"], 24);
  EXPECT_EQ(nlohmann::json::parse(Slurp(Path("world/unique.json"))).size(), 24u);
  EXPECT_NE(Slurp(Path("d.html")).find("</html>"), std::string::npos);
  const std::string lines = Slurp(Path("d.jsonl"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 24);

  const nlohmann::json mixed =
      DataJson({"mix", annotations_, copy + "=0", "-o", Path("mix.json"), "--kind", "count=3"});
  EXPECT_EQ(mixed["written"], 28);
  EXPECT_EQ(mixed["kinds"]["count"], 6);
  // Written elsewhere, and still its pictures are found.
  EXPECT_EQ(DataJson({"check", Path("mix.json")})["unusable"], 0);

  const nlohmann::json leaks = DataJson({"leak", annotations_, "--eval", copy, "-o", Path("clean.json"),
                                         "--html", Path("l.html"), "--limit", "100"});
  EXPECT_EQ(leaks["leaks"]["same picture and question"], 24);
  EXPECT_EQ(Data({"leak", annotations_, "--eval", copy, "--limit", "0"}).exit_code, 2);

  const nlohmann::json stats = DataJson({"stats", annotations_, "--html", Path("s.html")});
  EXPECT_EQ(stats["samples"], 24);
  EXPECT_EQ(stats["kinds"].size(), 12u);
  EXPECT_NE(Slurp(Path("s.html")).find("data:image/png;base64,"), std::string::npos);
}

}  // namespace
}  // namespace mobilevlm::golden
