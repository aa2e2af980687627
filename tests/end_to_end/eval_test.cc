// Benchmarks from their files to their scores, on miniatures of their layouts with the bundled model.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "files.h"
#include "process.h"
#include "refusal.h"

namespace mobilevlm::golden {
namespace {

namespace fs = std::filesystem;

class Eval : public ::testing::Test {
 protected:
  // The miniatures are made once for all tests.
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    const ProcessResult made =
        Process::Run({"eval", "miniature", "--out", directory_->Path("mini"), "--rows", "3"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete directory_;
    directory_ = nullptr;
  }
  static std::string Data(const std::string& task) { return directory_->Path("mini/" + task); }
  // A directory of a run that no other test has.
  std::string Out(const std::string& name) const { return own_.Path(name); }

  static ProcessResult Ask(const std::string& task, const std::string& out,
                           std::vector<std::string> more = {}, const ProcessOptions& options = {}) {
    std::vector<std::string> arguments{"eval", task, "--data", Data(task), "--out", out, "-n", "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments, options);
  }
  static size_t Lines(const std::string& path) {
    const std::string text = Slurp(path);
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  // A copy of a miniature that a test may break.
  std::string Copy(const std::string& task) const {
    fs::copy(Data(task), own_.Path(task), fs::copy_options::recursive);
    return own_.Path(task);
  }
  static void Replace(const std::string& path, const std::string& from, const std::string& to) {
    std::string text = Slurp(path);
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << path << " has no " << from;
    text.replace(at, from.size(), to);
    std::ofstream(path, std::ios::binary) << text;
  }

  TemporaryDirectory own_;

 private:
  static TemporaryDirectory* directory_;
};
TemporaryDirectory* Eval::directory_ = nullptr;

TEST_F(Eval, EveryBenchmarkFromItsFilesToItsReport) {
  struct Expected {
    const char* task;
    size_t questions;
    const char* headline;
  };
  const Expected all[] = {{"scienceqa", 4, "ScienceQA IMG accuracy"},
                          {"docvqa", 3, "DocVQA ANLS"},
                          {"chartqa", 6, "ChartQA relaxed accuracy"},
                          {"okvqa", 3, "OK-VQA accuracy"},
                          {"gqa", 15, "GQA accuracy"},
                          {"textvqa", 6, "TextVQA accuracy, with OCR tokens"},
                          {"pope", 18, "POPE mean F1"},
                          {"mme", 24, "MME perception"},
                          {"mmbench", 12, "MMBench circular accuracy"},
                          {"vizwiz", 3, "VizWiz accuracy, m4c"},
                          {"seedbench", 3, "SEED-Bench image accuracy"},
                          {"vl-checklist", 30, "VL-CheckList itc, p(yes)"},
                          {"custom", 3, "custom score"}};
  for (const Expected& expected : all) {
    const std::string task = expected.task, out = Out(task);
    const ProcessResult asked = Ask(task, out, {"--json"});
    ASSERT_EQ(asked.exit_code, 0) << task << "\n" << asked.err;
    const nlohmann::json scores = nlohmann::json::parse(asked.out);
    EXPECT_TRUE(scores.at("figures").contains(expected.headline)) << task << "\n" << asked.out;
    EXPECT_EQ(scores.at("missing"), 0) << task;
    EXPECT_EQ(Lines(out + "/answers.jsonl"), expected.questions) << task;
    EXPECT_NE(Slurp(out + "/report.html").find("data:image/png;base64,"), std::string::npos) << task;
    EXPECT_NE(Slurp(out + "/report.md").find(expected.headline), std::string::npos) << task;
    EXPECT_NE(asked.err.find("images/s"), std::string::npos) << asked.err;

    // The answer file, scored as if it came from elsewhere, gives the same scores.
    const ProcessResult again =
        Process::Run({"eval", task, "--data", Data(task), "--answers", out + "/answers.jsonl", "--json"});
    ASSERT_EQ(again.exit_code, 0) << task << "\n" << again.err;
    EXPECT_EQ(nlohmann::json::parse(again.out).at("figures"), scores.at("figures")) << task;
  }
}

TEST_F(Eval, EveryWayToScoreACaption) {
  for (const char* scoring : {"generated", "likelihood", "two-choice"}) {
    const ProcessResult asked = Ask("vl-checklist", Out(scoring), {"--scoring", scoring, "--json"});
    ASSERT_EQ(asked.exit_code, 0) << scoring << "\n" << asked.err;
    EXPECT_EQ(nlohmann::json::parse(asked.out).at("missing"), 0);
  }
  const ProcessResult plain = Ask("textvqa", Out("plain"), {"--no-ocr", "--json"});
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_TRUE(
      nlohmann::json::parse(plain.out).at("figures").contains("TextVQA accuracy, without OCR tokens"));
  EXPECT_EQ(Slurp(Out("plain/answers.jsonl")).find("Reference OCR"), std::string::npos);
}

TEST_F(Eval, PromptsAreThoseOfTheProtocols) {
  ASSERT_EQ(Ask("textvqa", Out("t")).exit_code, 0);
  const std::string text = Slurp(Out("t/answers.jsonl"));
  EXPECT_NE(text.find("\\nReference OCR token: "), std::string::npos);
  EXPECT_NE(text.find("\"prompt\": \"What is written here?\\nReference OCR token: \\nAnswer the question"),
            std::string::npos)
      << text;  // capitalised; the line stays where there are no tokens
  ASSERT_EQ(Ask("scienceqa", Out("s")).exit_code, 0);
  const std::string science = Slurp(Out("s/answers.jsonl"));
  EXPECT_NE(science.find("\"prompt\": \"Context: Look at the picture.\\n"), std::string::npos);
  EXPECT_NE(science.find("\"prompt\": \"Which is larger?\\nA. a mouse\\nB. a horse\\nAnswer with the "
                         "option's letter from the "
                         "given choices directly.\""),
            std::string::npos);
}

// Killed at whatever moment, a run that is continued leaves the bytes of one that was not.
TEST_F(Eval, AKilledRunContinuesToTheSameFile) {
  ASSERT_EQ(Ask("pope", Out("whole"), {"--confidence"}).exit_code, 0);
  const std::string wanted = Slurp(Out("whole/answers.jsonl"));
  for (const char* workers : {"1", "2"}) {
    const std::string out = Out(std::string("cut") + workers);
    const ProcessResult killed = Ask("pope", out, {"--confidence", "--workers", workers},
                                     {.interrupt_when = out + "/answers.jsonl", .interrupt_signal = SIGKILL});
    // Fast machines may be through before the signal arrives.
    EXPECT_TRUE(killed.signal == SIGKILL || killed.exit_code == 0) << killed.err;
    const ProcessResult rest = Ask("pope", out, {"--confidence", "--workers", workers});
    ASSERT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(Slurp(out + "/answers.jsonl"), wanted) << workers << " workers";
  }
  // A line torn at any byte is as good as none.
  for (const size_t cut : {wanted.size() - 1, wanted.size() / 2, size_t{5}}) {
    fs::resize_file(Out("whole/answers.jsonl"), cut);
    ASSERT_EQ(Ask("pope", Out("whole"), {"--confidence"}).exit_code, 0);
    EXPECT_EQ(Slurp(Out("whole/answers.jsonl")), wanted) << "cut at " << cut;
  }
  const ProcessResult other = Ask("pope", Out("whole"));  // without --confidence: another run
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("another run"), std::string::npos) << other.err;
}

TEST_F(Eval, ShardsMergeToTheWhole) {
  ASSERT_EQ(Ask("mmbench", Out("whole")).exit_code, 0);
  for (const char* shard : {"1", "2", "3"}) {
    const ProcessResult part =
        Ask("mmbench", Out(std::string("part") + shard), {"--shard", std::string(shard) + "/3"});
    ASSERT_EQ(part.exit_code, 0) << part.err;
  }
  const std::string merged = Out("merged.jsonl");
  const ProcessResult incomplete = Process::Run({"eval", "merge", Out("part1"), Out("part3"), "-o", merged});
  ExpectRefusal(incomplete, {"all 3 shards"});
  const ProcessResult all =
      Process::Run({"eval", "merge", Out("part3"), Out("part1"), Out("part2"), "-o", merged});
  ASSERT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(Slurp(merged), Slurp(Out("whole/answers.jsonl")));
}

TEST_F(Eval, AMissingPictureIsNamedAndEndsOrIsLeftOut) {
  const std::string data = Copy("gqa");
  fs::remove(data + "/images/n7003.jpg");
  const auto ask = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"eval",     "gqa", "--data", data,    "--out",
                                       Out("run"), "-n",  "4",      "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments);
  };
  ExpectRefusal(ask({}), {"7003", "n7003.jpg", "does not exist"});
  const ProcessResult skipped = ask({"--on-missing", "skip"});
  ASSERT_EQ(skipped.exit_code, 0) << skipped.err;
  EXPECT_EQ(nlohmann::json::parse(skipped.out).at("figures").at("GQA accuracy").at("count"), 14);
  EXPECT_NE(skipped.out.find("pictures do not exist"), std::string::npos);

  // One that is there but is no picture is found when its turn comes.
  std::ofstream(data + "/images/n7003.jpg") << "no picture";
  fs::remove_all(Out("run"));
  const ProcessResult broken = ask({});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_NE(broken.err.find("n7003.jpg"), std::string::npos) << broken.err;
  fs::remove_all(Out("run"));
  const ProcessResult rest = ask({"--on-missing", "skip"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(nlohmann::json::parse(rest.out).at("missing"), 0);
  EXPECT_EQ(nlohmann::json::parse(rest.out).at("figures").at("GQA accuracy").at("count"), 14);
  EXPECT_NE(rest.out.find("1 questions left out: their pictures cannot be read"), std::string::npos);
  // The same from the answers alone: an answer that is not there for another reason is wrong.
  const std::string answers = Slurp(Out("run/answers.jsonl"));
  own_.Write("fewer.jsonl", answers.substr(answers.find('\n') + 1));
  const ProcessResult scored = Process::Run({"eval", "gqa", "--data", data, "--answers",
                                             own_.Path("fewer.jsonl"), "--on-missing", "skip", "--json"});
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  EXPECT_EQ(nlohmann::json::parse(scored.out).at("missing"), 1);
  EXPECT_EQ(nlohmann::json::parse(scored.out).at("figures").at("GQA accuracy").at("count"), 14);
}

// What counts together is left out together, also where one of its answers is there.
TEST_F(Eval, ABrokenPictureTakesItsGroupAlong) {
  const std::string path = Copy("mmbench") + "/mmbench_dev_en_20231003.tsv";
  Replace(path, "\tiVBORw0KGgo", "\t####RwoKGgo");  // the base64 of one row of a PNG
  const std::vector<std::string> ask{"eval",   "mmbench", "--data", path,    "--out",
                                     Out("m"), "-n",      "4",      "--json"};
  EXPECT_EQ(Process::Run(ask).exit_code, 2);
  std::vector<std::string> skip = ask;
  skip.insert(skip.end(), {"--on-missing", "skip"});
  const ProcessResult skipped = Process::Run(skip);
  ASSERT_EQ(skipped.exit_code, 0) << skipped.err;
  const nlohmann::json scores = nlohmann::json::parse(skipped.out);
  EXPECT_EQ(scores.at("missing"), 0);
  EXPECT_EQ(scores.at("figures").at("MMBench circular accuracy").at("count"), 2);  // of 3 groups
  EXPECT_EQ(scores.at("figures").at("MMBench accuracy of rows (vanilla)").at("count"), 8);
}

// --on-missing skip is about pictures: a prompt that does not fit ends the run all the same.
TEST_F(Eval, OtherErrorsAreNotLeftOut) {
  std::string words;
  for (int i = 0; i < 20'000; ++i) words += "word ";
  const std::string questions =
      own_.Write("long.jsonl", nlohmann::json{{"question", words}, {"answer", "yes"}}.dump() + "\n");
  const ProcessResult asked =
      Process::Run({"eval", "custom", "--data", questions, "--out", Out("long"), "--on-missing", "skip"});
  EXPECT_EQ(asked.exit_code, 2) << asked.out;
  EXPECT_NE(asked.err.find("long.jsonl:1"), std::string::npos) << asked.err;
}

TEST_F(Eval, OnlyThePublishedProtocolStandsBesidePublishedFigures) {
  const auto page = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"eval", "textvqa", "--data", Data("textvqa"), "--out", Out(name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult asked = Process::Run(arguments);
    EXPECT_EQ(asked.exit_code, 0) << asked.err;
    return Slurp(Out(name + "/report.md")) + Slurp(Out(name + "/report.html"));
  };
  EXPECT_NE(page("ocr", {}).find("this run, 6 questions"), std::string::npos);
  const std::pair<std::vector<std::string>, const char*> others[] = {
      {{"--no-ocr"}, "asked without OCR tokens"},
      {{"--limit", "2"}, "only the first of 6 questions"},
      {{"--image-mode", "crop"}, "--image-mode crop"},
      {{"-n", "8"}, "answers of at most 8 tokens, not 128"}};
  for (const auto& [flags, why] : others) {
    const std::string text = page(flags[0], flags);
    EXPECT_EQ(text.find("this run,"), std::string::npos) << why;
    EXPECT_NE(text.find(why), std::string::npos) << why;
  }
}

TEST_F(Eval, ScoresOfOtherAnswersDoNotReplaceARun) {
  ASSERT_EQ(Ask("mmbench", Out("whole")).exit_code, 0);
  ASSERT_EQ(Ask("mmbench", Out("part1"), {"--shard", "1/2"}).exit_code, 0);
  ASSERT_EQ(Ask("mmbench", Out("part2"), {"--shard", "2/2"}).exit_code, 0);
  const std::string scores = Slurp(Out("whole/scores.json"));
  const auto score = [&](const std::string& answers, const std::string& out) {
    return Process::Run(
        {"eval", "mmbench", "--data", Data("mmbench"), "--answers", answers, "--out", Out(out)});
  };
  std::string other = Slurp(Out("whole/answers.jsonl"));
  own_.Write("other.jsonl", other.substr(other.find('\n') + 1));
  ExpectRefusal(score(own_.Path("other.jsonl"), "whole"), {"whole", "holds another run", "--out"});
  ExpectRefusal(score(Out("part1/answers.jsonl"), "part2"), {"part2", "holds another run"});
  EXPECT_EQ(Slurp(Out("whole/scores.json")), scores);
  // Its own answers, and what the shards were merged to, are of the run.
  const std::string merged = Out("merged.jsonl");
  ASSERT_EQ(Process::Run({"eval", "merge", Out("part1"), Out("part2"), "-o", merged}).exit_code, 0);
  for (const auto& [answers, out] : {std::pair{Out("whole/answers.jsonl"), "whole"},
                                     {merged, "part1"},
                                     {merged, "new"},
                                     {own_.Path("other.jsonl"), "new"}}) {
    const ProcessResult scored = score(answers, out);
    EXPECT_EQ(scored.exit_code, 0) << out << "\n" << scored.err;
  }
}

TEST_F(Eval, BenchmarksWithoutSplitsTakeNone) {
  for (const char* task : {"pope", "mme", "seedbench", "vl-checklist", "custom"}) {
    ExpectRefusal(Process::Run({"eval", task, "--data", Data(task), "--split", "test"}), {"--split"});
  }
}

TEST_F(Eval, WrongRowsAreNamed) {
  const auto refuse = [&](const std::string& task, const std::vector<std::string>& words) {
    ExpectRefusal(Process::Run({"eval", task, "--data", own_.Path(task), "--out", Out("never")}), words);
    EXPECT_FALSE(fs::exists(Out("never")));
  };
  Replace(Copy("mmbench") + "/mmbench_dev_en_20231003.tsv", "comment", "remark");
  refuse("mmbench", {"mmbench_dev_en_20231003.tsv", "unknown column remark"});
  Replace(Copy("okvqa") + "/mscoco_val2014_annotations.json", "\"question_id\": 905", "\"question_id\": 906");
  refuse("okvqa", {"questions.json", "row 1", "905"});
  Replace(Copy("scienceqa") + "/pid_splits.json", "\"7\"", "\"77\"");
  refuse("scienceqa", {"pid_splits.json", "77"});
  Replace(Copy("pope") + "/coco/coco_pope_random.json", "\"label\":\"", "\"label\":\"maybe ");
  refuse("pope", {"coco_pope_random.json:1", "yes or no"});
  Replace(Copy("custom") + "/questions.jsonl", "\"answers\"", "\"anwsers\"");
  refuse("custom", {"questions.jsonl:1", "anwsers"});
  Replace(Copy("textvqa") + "/TextVQA_0.5.1_val.json", "\"thing\",", "");
  refuse("textvqa", {"row 1", "wanted 10 answers, found 9"});
  ExpectRefusal(Process::Run({"eval", "gqa", "--data", own_.Path("nowhere")}), {"nowhere"});
}

TEST_F(Eval, AnswersToUnknownOrRepeatedQuestionsAreNamed) {
  const auto score = [&](const std::string& answers) {
    return Process::Run({"eval", "gqa", "--data", Data("gqa"), "--answers", own_.Write("a.jsonl", answers)});
  };
  ExpectRefusal(score("{\"question_id\": \"1\", \"prompt\": \"\", \"text\": \"yes\"}\n"),
                {"a.jsonl:1", "id 1"});
  const std::string row = "{\"question_id\": \"7000\", \"prompt\": \"\", \"text\": \"yes\"}\n";
  ExpectRefusal(score(row + row), {"a.jsonl:2", "twice"});
  const ProcessResult one = score(row);
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_NE(one.out.find("14 questions without an answer"), std::string::npos) << one.out;
}

TEST_F(Eval, ScoresByTheNameOfAMetric) {
  const std::string file = own_.Write("p.jsonl",
                                      "{\"prediction\": \"Yes.\", \"references\": [\"yes\"]}\n"
                                      "{\"prediction\": \"a dog\", \"references\": [\"dog\"]}\n");
  const ProcessResult scored = Process::Run({"eval", "score", "--metric", "gqa_em", file, "--json"});
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  EXPECT_EQ(nlohmann::json::parse(scored.out),
            nlohmann::json::parse(R"({"metric": "gqa_em", "scores": [1, 0], "mean": 0.5})"));
  ExpectRefusal(Process::Run({"eval", "score", "--metric", "bleu", file}), {"bleu", "textvqa_m4c"});
}

TEST_F(Eval, RunsAreComparedInPairs) {
  ASSERT_EQ(Ask("chartqa", Out("a")).exit_code, 0);
  const ProcessResult shorter = Process::Run(
      {"eval", "chartqa", "--data", Data("chartqa"), "--out", Out("b"), "-n", "1", "--model-id", "shorter"});
  ASSERT_EQ(shorter.exit_code, 0) << shorter.err;
  const ProcessResult compared = Process::Run({"eval", "compare", Out("a"), Out("b")});
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_NE(compared.out.find("McNemar"), std::string::npos) << compared.out;
  ASSERT_EQ(Process::Run({"eval", "compare", Out("a"), Out("b"), "-o", Out("c.html")}).exit_code, 0);
  EXPECT_NE(Slurp(Out("c.html")).find("Paired differences"), std::string::npos);
}

// LLaVA's question file chooses, words and numbers the questions.
TEST_F(Eval, AQuestionFileChoosesTheQuestions) {
  const std::string questions = own_.Write(
      "llava_gqa.jsonl",
      nlohmann::json{{"question_id", "q1"},
                     {"image", "n7012.jpg"},
                     {"text", nlohmann::json::parse(Slurp(Data("gqa") + "/testdev_balanced_questions.json"))
                                      .at("7012")
                                      .at("question")
                                      .get<std::string>() +
                                  "\nAnswer the question using a single word or phrase."}}
              .dump() +
          "\n");
  const ProcessResult asked = Ask("gqa", Out("q"), {"--questions", questions, "--json"});
  ASSERT_EQ(asked.exit_code, 0) << asked.err;
  EXPECT_NE(Slurp(Out("q/answers.jsonl")).find("\"question_id\": \"q1\""), std::string::npos);
  own_.Write("llava_gqa.jsonl", "{\"question_id\": \"q2\", \"image\": \"n7012.jpg\", \"text\": \"Who?\"}\n");
  ExpectRefusal(Ask("gqa", Out("r"), {"--questions", questions}), {"llava_gqa.jsonl:1", "q2"});
}

}  // namespace
}  // namespace mobilevlm::golden
