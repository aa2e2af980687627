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

TEST_F(Files, OptionsWithoutATextAreLost) {
  const std::string head = "index\tquestion\tA\tB\tC\tD\tanswer\timage\n";
  const auto load = [&](const std::string& row) {
    const std::string path =
        Write("mmbench_dev_en_20231003.tsv", head + row + "\tQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n");
    return FindTask("mmbench").value()->load({.data = path, .split = "", .questions = ""});
  };
  // "None" stands before the answer: the prompt ends there, its letter is no choice, the row stays.
  const auto benchmark = load("7\tWhich?\tred\tNone\tblue\t\tC");
  ASSERT_TRUE(benchmark) << benchmark.error().message;
  ASSERT_EQ(benchmark->questions.size(), 1u);
  const Question& question = benchmark->questions[0];
  EXPECT_TRUE(question.prompt.starts_with("Which?\nA. red\nAnswer with")) << question.prompt;
  EXPECT_EQ(question.options, (Options{{'A', "red"}, {'C', "blue"}}));
  EXPECT_EQ(question.references, std::vector<std::string>{"C"});
  EXPECT_TRUE(benchmark->deviations.empty());
  EXPECT_TRUE(load("7\tWhich?\tred\tnone\t\t\tB"));  // the answer itself is lost
  for (const char* answer : {"C", "D", "E", "AB"}) {
    const auto wrong = load(std::string("7\tWhich?\tred\tblue\t\t\t") + answer);
    ASSERT_FALSE(wrong) << answer;
    EXPECT_NE(wrong.error().message.find("wanted the letter of an option"), std::string::npos);
  }
}

TEST_F(Files, LoopsOfLinksAreNoFiles) {
  Write("existence/1.txt", "Is it?\tYes\nIs it not?\tNo\n");
  for (const char* name : {"images", "questions_answers_YN", "1.jpg", "1.png"}) {
    std::filesystem::create_symlink(name, directory_ / "existence" / name);
  }
  const auto benchmark =
      FindTask("mme").value()->load({.data = directory_.string(), .split = "", .questions = ""});
  ASSERT_TRUE(benchmark) << benchmark.error().message;
  EXPECT_EQ(benchmark->questions.size(), 2u);
}

TEST_F(Files, WhatIsNotThePublishedProtocolSaysSo) {
  Write("existence/1.txt", "Is it?\tYes\nIs it not?\tNo\n");
  const auto mme = FindTask("mme").value()->load({.data = directory_.string(), .split = "", .questions = ""});
  ASSERT_TRUE(mme) << mme.error().message;
  ASSERT_EQ(mme->deviations.size(), 1u);
  EXPECT_TRUE(mme->deviations[0].starts_with("tasks that are not there: count, position"))
      << mme->deviations[0];
  Write("problems.json", "{}");
  Write("pid_splits.json", R"({"test": [], "val": []})");
  const auto science = [&](const std::string& split) {
    return FindTask("scienceqa")
        .value()
        ->load({.data = directory_.string(), .split = split, .questions = ""});
  };
  EXPECT_TRUE(science("")->deviations.empty());
  EXPECT_EQ(science("val")->deviations, std::vector<std::string>{"split val"});
}

// Of the questions without an answer those whose pictures are broken go, with all of their group.
TEST(LeaveOut, BrokenPicturesTakeTheirGroupsAlong) {
  Benchmark benchmark{.task = "test", .variant = "", .questions = {}, .notes = {}};
  Answers answers;
  const auto add = [&](const char* id, const char* group, bool answered) {
    Question& question = benchmark.questions.emplace_back();
    question.id = id;
    question.group = group;
    answers.push_back(answered ? std::optional(ModelAnswer{.text = id}) : std::nullopt);
  };
  add("a", "1", true);
  add("b", "1", false);  // broken
  add("c", "2", true);
  add("d", "2", true);
  add("e", "", false);  // not broken: wrong
  add("f", "", true);
  add("g", "", false);  // broken
  LeaveOutUnanswered([](const Question& question) { return question.id != "e"; }, benchmark, answers);
  std::string ids, texts;
  for (const Question& question : benchmark.questions) ids += question.id;
  for (const auto& answer : answers) texts += answer ? answer->text : "-";
  EXPECT_EQ(ids, "cdef");
  EXPECT_EQ(texts, "cd-f");
  const std::vector<std::string> note = {"3 questions left out: their pictures cannot be read"};
  EXPECT_EQ(benchmark.notes, note);
  EXPECT_EQ(benchmark.deviations, note);
}

TEST_F(Files, AMergedFileHoldsTheRowsOfItsShards) {
  const std::string part = Write("part.jsonl", "{\"a\": 2}\n{\"torn");
  EXPECT_TRUE(HoldsAllRows(Write("whole.jsonl", "{\"a\": 1}\n{\"a\": 2}\n"), part).value());
  EXPECT_FALSE(HoldsAllRows(Write("other.jsonl", "{\"a\": 1}\n"), part).value());
  EXPECT_FALSE(HoldsAllRows(part, Write("empty.jsonl", "")).value());
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
