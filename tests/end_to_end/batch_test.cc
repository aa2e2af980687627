// run --batch as a user meets it: answers for many pictures, cut short, damaged, and continued.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "files.h"
#include "process.h"

namespace mobilevlm::golden {
namespace {

class Batch : public ::testing::Test {
 protected:
  // Answers of up to 8 tokens in directory_/out.jsonl, unless `more` says otherwise.
  ProcessResult Run(const std::string& input, const std::vector<std::string>& more = {},
                    const ProcessOptions& options = {}) {
    std::vector<std::string> arguments{
        "run",     "-m", Path("nano-ldpv2/text.gguf"), "--mmproj", Path("nano-ldpv2/mmproj.gguf"),
        "--batch", input};
    const auto given = [&](const char* flag) {
      return std::find(more.begin(), more.end(), flag) != more.end();
    };
    if (!given("-n")) arguments.insert(arguments.end(), {"-n", "8"});
    if (!given("-o")) arguments.insert(arguments.end(), {"-o", Out()});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments, options);
  }
  std::string Out() const { return directory_.Path("out.jsonl"); }
  std::vector<nlohmann::json> Rows() const {
    std::istringstream text(Slurp(Out()));
    std::vector<nlohmann::json> rows;
    for (std::string line; std::getline(text, line);) rows.push_back(nlohmann::json::parse(line));
    return rows;
  }
  // One line each for `count` questions about two pictures.
  std::string Questions(int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      const std::string image = i % 2 == 0 ? "image_336.png" : "preprocess/04_1280x720.jpg";
      lines +=
          nlohmann::json{{"id", i}, {"image", Path(image)}, {"prompt", "Question " + std::to_string(i) + "?"}}
              .dump();
      lines += '\n';
    }
    return directory_.Write("in.jsonl", lines);
  }
  static void ExpectRefusal(const ProcessResult& result, const std::string& culprit) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.error_lines(), 1u) << result.err;
    EXPECT_NE(result.err.find(culprit), std::string::npos) << result.err;
  }

  TemporaryDirectory directory_;
};

TEST_F(Batch, AnswersEveryLineAsASingleRunDoes) {
  const ProcessResult result = Run(Questions(5));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("images/s"), std::string::npos) << result.err;
  const std::vector<nlohmann::json> rows = Rows();
  ASSERT_EQ(rows.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    const nlohmann::json& row = rows[static_cast<size_t>(i)];
    EXPECT_EQ(row.at("id"), i);
    const ProcessResult single =
        Process::Run({"run", "-m", Path("nano-ldpv2/text.gguf"), "--mmproj", Path("nano-ldpv2/mmproj.gguf"),
                      "--image", row.at("image"), "-p", row.at("prompt"), "-n", "8", "--json"});
    EXPECT_EQ(row.at("answer"), nlohmann::json::parse(single.out).at("answer"));
  }
}

TEST_F(Batch, ADirectoryIsAskedInTheOrderOfItsNames) {
  std::filesystem::create_directories(directory_.Path("pictures/deeper"));
  std::filesystem::copy(Path("image_336.png"), directory_.Path("pictures/b.png"));
  std::filesystem::copy(Path("image_336.png"), directory_.Path("pictures/deeper/c.PNG"));
  std::filesystem::copy(Path("preprocess/04_1280x720.jpg"), directory_.Path("pictures/a.jpg"));
  directory_.Write("pictures/notes.txt", "no picture");
  const ProcessResult result = Run(directory_.Path("pictures"), {"-p", "What?", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<nlohmann::json> rows = Rows();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("image"), "a.jpg");
  EXPECT_EQ(rows[1].at("image"), "b.png");
  EXPECT_EQ(rows[2].at("image"), "deeper/c.PNG");
  EXPECT_EQ(rows[1].at("answer"), rows[2].at("answer"));
  const nlohmann::json summary = nlohmann::json::parse(result.out);
  EXPECT_EQ(summary.at("images"), 3);
  EXPECT_GT(summary.at("images_per_second"), 0);
}

TEST_F(Batch, ARerunAsksNothingTwice) {
  const std::string in = Questions(4);
  ASSERT_EQ(Run(in).exit_code, 0);
  const std::string answers = Slurp(Out());
  const ProcessResult again = Run(in, {"--json"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out).at("answered"), 0);
  EXPECT_EQ(Slurp(Out()), answers);

  // Two more lines, and one that stands there twice: two more answers.
  const std::string more = nlohmann::json{{"image", Path("image_336.png")}, {"prompt", "New?"}}.dump() + "\n";
  directory_.Write("in.jsonl",
                   Slurp(in) + more + more + Slurp(in) +
                       nlohmann::json{{"image", Path("image_336.png")}, {"prompt", "Newer?"}}.dump());
  ASSERT_EQ(Run(in).exit_code, 0);
  EXPECT_TRUE(Slurp(Out()).starts_with(answers));
  EXPECT_EQ(Rows().size(), 6u);
}

// Whatever the byte at which the last row was cut, the result is that of an uninterrupted run.
TEST_F(Batch, ATornLastLineIsRepaired) {
  const std::string in = Questions(3);
  ASSERT_EQ(Run(in).exit_code, 0);
  const std::string whole = Slurp(Out());
  const std::vector<nlohmann::json> wanted = Rows();
  const size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (const size_t cut : {last + 1, last + 12, (last + whole.size()) / 2, whole.size() - 1}) {
    std::filesystem::resize_file(Out(), cut);
    ASSERT_EQ(Run(in).exit_code, 0);
    const std::vector<nlohmann::json> rows = Rows();
    ASSERT_EQ(rows.size(), wanted.size()) << "cut at " << cut;
    EXPECT_EQ(rows.back().at("answer"), wanted.back().at("answer"));
    EXPECT_TRUE(Slurp(Out()).starts_with(whole.substr(0, last)));
  }
}

TEST_F(Batch, CtrlCEndsBetweenRowsAndARerunContinues) {
  const std::string in = Questions(25);
  const ProcessResult cut = Run(in, {"-n", "64"}, {.interrupt_when = Out()});
  EXPECT_EQ(cut.signal, 0);
  EXPECT_EQ(cut.exit_code, 130) << cut.err;
  const std::string before = Slurp(Out());
  EXPECT_TRUE(before.ends_with('\n'));
  const size_t answered = Rows().size();
  EXPECT_GE(answered, 1u);
  ASSERT_LT(answered, 25u);

  EXPECT_EQ(Run(in, {"-n", "64"}).exit_code, 0);
  EXPECT_TRUE(Slurp(Out()).starts_with(before));
  std::set<int> ids;
  for (const nlohmann::json& row : Rows()) ids.insert(row.at("id").get<int>());
  EXPECT_EQ(ids.size(), 25u);
  EXPECT_EQ(Rows().size(), 25u);
}

TEST_F(Batch, WhatFailsGetsARowAndTheRestIsAnswered) {
  const std::string broken = directory_.Write("broken.png", Slurp(Path("image_336.png")).substr(0, 500));
  std::string lines;
  for (const std::string& image :
       {std::string("nowhere.png"), std::string("broken.png"), Path("image_336.png")}) {
    lines += nlohmann::json{{"image", image}}.dump() + "\n";
  }
  lines += nlohmann::json{{"image", Path("image_336.png")}, {"prompt", "<image> and <image>"}}.dump() + "\n";
  const std::string in = directory_.Write("in.jsonl", lines);
  const ProcessResult result = Run(in, {"-p", "What?"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("3 of 4"), std::string::npos) << result.err;
  const std::vector<nlohmann::json> rows = Rows();
  ASSERT_EQ(rows.size(), 4u);
  for (const size_t i : {0u, 1u, 3u}) {
    EXPECT_TRUE(rows[i].contains("error") && !rows[i].contains("answer")) << rows[i];
  }
  EXPECT_NE(rows[0].at("error").get<std::string>().find("nowhere.png"), std::string::npos);
  EXPECT_TRUE(rows[2].contains("answer"));
  // Told again, not asked again.
  const std::string answers = Slurp(Out());
  EXPECT_EQ(Run(in, {"-p", "What?"}).exit_code, 2);
  EXPECT_EQ(Slurp(Out()), answers);
}

TEST_F(Batch, OtherSettingsAreNotMixed) {
  const std::string in = Questions(1);
  ASSERT_EQ(Run(in).exit_code, 0);
  const std::string answers = Slurp(Out());
  ExpectRefusal(Run(in, {"-n", "9"}), "out.jsonl:1");
  ExpectRefusal(Run(in, {"--system", "Be kind."}), "other settings");
  const std::string colour = R"({"enum": ["red", "blue"]})", choice = R"({"enum": ["yes", "no"]})";
  ExpectRefusal(Run(in, {"--json-schema", choice}), "other settings");
  const std::string other = directory_.Path("other.jsonl");
  ASSERT_EQ(Run(in, {"-o", other, "--json-schema", colour}).exit_code, 0);
  ExpectRefusal(Run(in, {"-o", other, "--json-schema", choice}), "other settings");
  EXPECT_EQ(Run(in, {"--speculate", "off", "--threads", "1"}).exit_code, 0);  // shape no answer
  EXPECT_EQ(Slurp(Out()), answers);
}

TEST_F(Batch, ForeignFilesStayWhole) {
  const std::string in = Questions(1);
  for (const std::string foreign : {"some text\n", "{\"a\": 1}\n", "no line end", "{\"image"}) {
    directory_.Write("out.jsonl", foreign);
    const ProcessResult result = Run(in);
    if (foreign == "{\"image") {  // what a torn first row looks like
      EXPECT_EQ(result.exit_code, 0) << result.err;
    } else {
      ExpectRefusal(result, "out.jsonl");
      EXPECT_EQ(Slurp(Out()), foreign);
    }
  }
  ExpectRefusal(Run(in, {"-o", in}), "in.jsonl:1");
}

TEST_F(Batch, BadInputIsRefusedBeforeAnythingIsAsked) {
  const std::string good = nlohmann::json{{"image", "a.png"}, {"prompt", "What?"}}.dump() + "\n";
  for (const std::string bad :
       {"{\"image\": 3, \"prompt\": \"x\"}", "{\"image\": [], \"prompt\": \"x\"}", "{\"prompt\": \"x\"}",
        "{\"image\": \"a.png\"}", "{\"image\": \"a.png\", \"prompt\": 1}", "[1]", "{",
        "{\"image\": \"a.png\", \"prompt\": \"x\", \"id\": {}}"}) {
    ExpectRefusal(Run(directory_.Write("in.jsonl", good + bad + "\n")), "in.jsonl:2");
  }
  ExpectRefusal(Run(directory_.Write("in.jsonl", "\n \n")), "in.jsonl");
  ExpectRefusal(Run(directory_.Path("nowhere.jsonl")), "nowhere.jsonl");
  std::filesystem::create_directory(directory_.Path("empty"));
  ExpectRefusal(Run(directory_.Path("empty"), {"-p", "What?"}), "empty");
  ExpectRefusal(Run(directory_.Path("empty")), "-p");
  EXPECT_FALSE(std::filesystem::exists(Out()));
  ExpectRefusal(Process::Run({"run", "--batch", directory_.Path("empty"), "-p", "x"}), "-o");
  ExpectRefusal(Process::Run({"run"}), "-p");
}

}  // namespace
}  // namespace mobilevlm::golden
