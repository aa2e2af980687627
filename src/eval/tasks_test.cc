// What the loaders and joiners promise and no miniature shows.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/base64.h"
#include "eval/answer_file.h"
#include "eval/tasks/answers.h"
#include "eval/tasks/files.h"
#include "eval/tasks/task.h"
#include "eval/tasks/tsv.h"

namespace mobilevlm::eval {
namespace {

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "mobilevlm-eval-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return (directory_ / name).string();
  }
  std::filesystem::path directory_;
};

Benchmark Two(const std::string& first, const std::string& second, const std::string& id = "7") {
  Benchmark benchmark{.task = "test", .variant = "", .questions = {}, .notes = {}};
  for (const std::string& prompt : {first, second}) {
    Question& question = benchmark.questions.emplace_back();
    question.id = id;
    question.prompt = prompt;
    question.references = {"x"};
  }
  return benchmark;
}

TEST(Base64, ThereAndBack) {
  for (const std::string& bytes :
       std::vector<std::string>{"", "f", "fo", "foo", "foob", std::string("\0\xff\x80", 3)}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
  }
  EXPECT_EQ(EncodeBase64("foob"), "Zm9vYg==");
  EXPECT_EQ(DecodeBase64("Zm9v\nYg"), "foob");
  for (const char* text : {"Z", "Zm9vYg=", "Zm=vYg==", "Zm 9v", "Zm9v="})
    EXPECT_FALSE(DecodeBase64(text)) << text;
}

TEST_F(Files, TsvCellsMayHoldLineEnds) {
  const auto file = TsvFile::Open(Write("a.tsv", "a\tb\r\n1\t\"x\ty\n\"\"z\"\"\"\r\n2\t\n"));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->rows(), 2u);
  EXPECT_EQ(file->Text(0, "b"), "x\ty\n\"z\"");
  EXPECT_EQ(file->Text(1, "b"), "");
  EXPECT_EQ(file->Text(1, "c"), "");
  const auto broken = TsvFile::Open(Write("b.tsv", "a\tb\n1\t2\n3\n"));
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("row 2"), std::string::npos);
}

TEST_F(Files, AnswersWithTheSameIdAreJoinedByTheirQuestion) {
  const Benchmark benchmark = Two(
      "What brand is this?\nReference OCR token: A, B\nAnswer the question using a single word or phrase.",
      "What is written?\nReference OCR token: \nAnswer the question using a single word or phrase.");
  const auto answers = ReadAnswers(
      Write(
          "a.jsonl",
          R"({"question_id": 7, "prompt": "what is written?\nAnswer the question using a single word or phrase.", "text": "two"})"
          "\n"
          R"({"question_id": "7", "prompt": "Reference OCR token: A, B\nWhat brand is this?\nAnswer the question using a single word or phrase.", "text": "one"})"),
      benchmark);
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_EQ((*answers)[0]->text, "one");
  EXPECT_EQ((*answers)[1]->text, "two");
  const auto other =
      ReadAnswers(Write("b.jsonl", R"({"question_id": 7, "prompt": "Who?", "text": "x"})"), benchmark);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("b.jsonl:1"), std::string::npos);
}

TEST(Shards, KeepPicturesAndGroupsTogether) {
  std::vector<Question> questions(10);
  for (size_t i = 0; i < questions.size(); ++i)
    questions[i].image = ImageSource{.name = std::to_string(i / 4), .make = {}};
  size_t next = 0;
  for (size_t shard = 1; shard <= 3; ++shard) {
    const ShardRange range = ShardOf(questions, shard, 3);
    EXPECT_EQ(range.begin, next);
    next = range.end;
    EXPECT_TRUE(range.end == questions.size() || range.end % 4 == 0) << range.end;
  }
  EXPECT_EQ(next, questions.size());
  for (size_t i = 0; i < questions.size(); ++i) questions[i].group = std::to_string(i / 3);
  LimitQuestions(4, questions);
  EXPECT_EQ(questions.size(), 6u);
}

TEST_F(Files, AnAnswerFileTakesOnlyItsOwnRows) {
  const Benchmark benchmark = Two("a", "b");
  const std::string path = (directory_ / "answers.jsonl").string();
  {
    auto file = AnswerFile::Open(path, benchmark, "m", 0, 2);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->Append(0, {.text = "\"x\"\n", .scores = {{"p_yes", 0.25}}}));
  }
  {
    auto file = AnswerFile::Open(path, benchmark, "m", 0, 2);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->next(), 1u);
  }
  EXPECT_FALSE(AnswerFile::Open(path, benchmark, "another", 0, 2));
  EXPECT_FALSE(AnswerFile::Open(path, Two("c", "d"), "m", 0, 2));
  const auto answers = ReadAnswers(path, benchmark);
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_EQ((*answers)[0]->text, "\"x\"\n");
  EXPECT_EQ((*answers)[0]->Score("p_yes"), 0.25);
  EXPECT_FALSE((*answers)[1]);
}

// Always yes: F1 2/3 a subset; the sums of MME as worked in its protocol.
TEST(Scores, OfAlwaysYes) {
  Benchmark pope{.task = "pope", .variant = "", .questions = {}, .notes = {}};
  Answers answers;
  for (const char* subset : {"adversarial", "random", "popular"}) {
    for (const char* label : {"yes", "no"}) {
      Question& question = pope.questions.emplace_back();
      question.id = std::to_string(pope.questions.size());
      question.references = {label};
      question.subset = subset;
      answers.push_back(ModelAnswer{.text = "Yes"});
    }
  }
  const ScoreSheet sheet = FindTask("pope").value()->score(pope, answers);
  EXPECT_NEAR(sheet.figures[0].value, 200.0 / 3, 1e-9);
  answers.assign(answers.size(), std::nullopt);
  const ScoreSheet none = FindTask("pope").value()->score(pope, answers);
  EXPECT_EQ(none.figures[0].value, 0);  // unanswered is wrong
  EXPECT_EQ(none.missing, 6u);

  Benchmark mme{.task = "mme", .variant = "", .questions = {}, .notes = {}};
  Answers given;
  const char* rows[][2] = {{"Yes", "Yes"}, {"No", "No"}, {"Yes", "Yes"}, {"No", "Yes"}};  // truth, answer
  for (size_t i = 0; i < 4; ++i) {
    Question& question = mme.questions.emplace_back();
    question.id = question.group = i < 2 ? "a" : "b";
    question.prompt = std::to_string(i);
    question.subset = "existence";
    question.references = {rows[i][0]};
    given.push_back(ModelAnswer{.text = rows[i][1]});
  }
  EXPECT_NEAR(FindTask("mme").value()->score(mme, given).figures[0].value, 125, 1e-9);
}

// All rotations right is a hit; without a picture's rows a question has as many as it has.
TEST(Scores, CircularMmBench) {
  Benchmark benchmark{.task = "mmbench", .variant = "", .questions = {}, .notes = {}};
  Answers answers;
  const auto add = [&](const char* group, const char* truth, const char* text) {
    Question& question = benchmark.questions.emplace_back();
    question.id = std::to_string(benchmark.questions.size());
    question.group = group;
    question.references = {truth};
    question.options = {{'A', "cat"}, {'B', "dog"}};
    question.labels = {{"category", group}};
    answers.push_back(ModelAnswer{.text = text});
  };
  add("1", "A", "A");
  add("1", "B", "(B)");
  add("2", "A", "A");
  add("2", "B", "A");
  const ScoreSheet sheet = FindTask("mmbench").value()->score(benchmark, answers);
  EXPECT_NEAR(sheet.figures[0].value, 50, 1e-9);
  EXPECT_NEAR(sheet.figures[2].value, 75, 1e-9);  // vanilla
  ASSERT_EQ(sheet.units.size(), 2u);
}

}  // namespace
}  // namespace mobilevlm::eval
