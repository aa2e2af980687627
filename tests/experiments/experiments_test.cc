// `mobilevlm experiment ablations` and `projectors` from end to end with tiny sizes: trained, killed,
// continued, refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "process.h"
#include "refusal.h"

namespace mobilevlm {
namespace {

namespace fs = std::filesystem;
using golden::ExpectRefusal;
using golden::Process;
using golden::ProcessOptions;
using golden::ProcessResult;

std::string ReadText(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class Experiment : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mobilevlm-experiment-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // Tiny runs in `work`, the page in `out`.
  ProcessResult Run(const std::string& name, const std::string& work, const std::string& out,
                    std::vector<std::string> more, const ProcessOptions& options = {},
                    int per_kind = 3) const {
    std::vector<std::string> arguments = {
        "experiment", name,       "--quick", "--per-kind", std::to_string(per_kind),
        "--work",     Path(work), "--out",   Path(out)};
    for (const char* set : {"tower:schedule.steps=3", "language:schedule.steps=3", "schedule.warmup_steps=1",
                            "mini.tokenizer_scenes=50"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process::Run(arguments, options);
  }

  // What a run has learned, byte for byte.
  std::string Weights(const std::string& run) const {
    const std::string weights = ReadText(Path(run) + "/multitask/latest/model.safetensors");
    EXPECT_NE(weights, "") << run;
    return weights;
  }

  std::string directory_;
};

const std::vector<std::string> kSome = {"--seeds", "2", "--variants", "frozen,one-stage,pool-4"};

TEST_F(Experiment, AblationsKilledAndContinuedGiveThePageOfARunWithoutAStop) {
  const ProcessResult whole = Run("ablations", "whole", "page", kSome);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;

  // Killed once while the first run trains and once with some runs behind it, when its trainer is at work.
  for (const char* file : {"runs/reference-s1/align/log.jsonl", "runs/one-stage-s1/multitask/log.jsonl"}) {
    const ProcessResult killed = Run("ablations", "parts", "continued", kSome,
                                     {.interrupt_when = Path("parts/") + file, .interrupt_signal = SIGKILL});
    ASSERT_EQ(killed.signal, SIGKILL) << "it ended before it was killed: " << killed.err;
  }
  const ProcessResult rest = Run("ablations", "parts", "continued", kSome);
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_NE(rest.err.find("reference, seed 1: "), std::string::npos) << rest.err;
  EXPECT_NE(rest.err.find(", done before"), std::string::npos) << rest.err;
  EXPECT_EQ(ReadText(Path("continued/page.md")), ReadText(Path("page/page.md")));
  EXPECT_EQ(ReadText(Path("continued/result.json")), ReadText(Path("page/result.json")));

  for (const char* run : {"reference-s1", "frozen-s2", "one-stage-s1", "pool-4-s2"}) {
    EXPECT_TRUE(Weights(fmt::format("parts/runs/{}", run)) == Weights(fmt::format("whole/runs/{}", run)))
        << run;
  }

  const auto result = nlohmann::json::parse(ReadText(Path("page/result.json")));
  std::map<std::string, nlohmann::json> tables;
  for (const auto& table : result["tables"]) tables[table["title"]] = table["rows"];
  EXPECT_EQ(tables["Every run"].size(), 8u);
  ASSERT_EQ(tables["Tokens"].size(), 2u);
  EXPECT_EQ(tables["Tokens"][0][1], "36");
  EXPECT_EQ(tables["Tokens"][1][1], "9");
  ASSERT_EQ(tables["Training strategy"].size(), 3u);
  EXPECT_EQ(tables["Training strategy"][0][3], tables["Training strategy"][2][3]) << "the same samples";
  EXPECT_EQ(tables["By kind, per cent"].size(), 4u);
  for (const char* plot : {"strategy", "strategy-kinds", "tokens", "tokens-kinds"}) {
    EXPECT_TRUE(fs::exists(Path("page/") + plot + ".svg")) << plot;
  }
  // Another number of questions: only the scores are made anew.
  const std::string log = Path("whole/runs/pool-4-s2/multitask/log.jsonl");
  const auto trained = fs::last_write_time(log);
  const ProcessResult fewer = Run("ablations", "whole", "fewer", kSome, {}, 2);
  ASSERT_EQ(fewer.exit_code, 0) << fewer.err;
  EXPECT_EQ(trained, fs::last_write_time(log));
  EXPECT_NE(ReadText(Path("fewer/page.md")).find("- questions: 2 of each kind"), std::string::npos);
}

TEST_F(Experiment, CtrlCStopsTheTrainerToo) {
  const ProcessResult first = Run("ablations", "first", "page", {"--seeds", "1", "--variants", "reference"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const ProcessResult stopped =
      Run("ablations", "work", "page",
          {"--seeds", "1", "--multitask-steps", "100000", "--base", Path("first/base")},
          {.interrupt_when = Path("work/runs/reference-s1/multitask/log.jsonl")});
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_NE(stopped.err.find("interrupted; the same command continues"), std::string::npos) << stopped.err;
  EXPECT_TRUE(fs::exists(Path("work/runs/reference-s1/multitask/latest/state.json"))) << "saved what it had";
}

TEST_F(Experiment, ProjectorsAreExportedAndAskedByTheEngine) {
  const ProcessResult made = Run("projectors", "work", "page", {"--seeds", "1"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const auto result = nlohmann::json::parse(ReadText(Path("page/result.json")));
  const auto& captions = result["tables"][0]["rows"];
  ASSERT_EQ(captions.size(), 6u);
  EXPECT_EQ(captions[0][0], "Object");
  EXPECT_EQ(captions[3][1], "15");  // 5 files of 3 pairs
  const std::string page = ReadText(Path("page/page.md"));
  EXPECT_NE(page.find("| ldpnet | 18.9 M |"), std::string::npos) << page;
  EXPECT_NE(page.find("| MobileVLM V2 1.7B | 59.3 | 66.7 |"), std::string::npos) << page;
  EXPECT_TRUE(fs::exists(Path("work/runs/ldp-s1/gguf/mmproj.gguf")));
  EXPECT_TRUE(fs::exists(Path("page/captions.svg")));
}

TEST_F(Experiment, RefusalsAreOneLine) {
  ExpectRefusal(Run("ablations", "work", "page", {"--variants", "ldpv3"}),
                {"--variants", "pool-4", "'ldpv3'"});
  ExpectRefusal(Run("ablations", "work", "page", {"--base", Path("none")}),
                {"--base", "mobilevlm train mini", "none/tower"});
  ExpectRefusal(Run("ablations", "work", "page", {"--seeds", "0"}), {"--seeds"});
  ExpectRefusal(Run("projectors", "work", "page", {"--variants", "ldp"}), {"--variants"});
  // What the variants and the budget decide.
  ExpectRefusal(Run("ablations", "work", "page", {"--set", "mini.projector=ldpnet"}),
                {"mini.projector", "--variants"});
  ExpectRefusal(Run("ablations", "work", "page", {"--set", "multitask:schedule.steps=9"}),
                {"multitask:schedule.steps", "--multitask-steps"});
  ExpectRefusal(Run("projectors", "work", "page", {"--set", "align:model.start=hf"}),
                {"model.start", "--base"});
  EXPECT_FALSE(fs::exists(Path("work"))) << "nothing was begun";
  ExpectRefusal(Run("ablations", "work", "page", {"--set", "mini.pols=3"}), {"unknown key mini.pols"});

  const std::vector<std::string> one = {"--seeds", "1", "--variants", "linear"};
  ASSERT_EQ(Run("ablations", "work", "page", one).exit_code, 0);
  // A base whose language stage was stopped half way, as its state says.
  fs::copy(Path("work/base"), Path("half"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const std::string state = Path("half/language/latest/state.json");
  nlohmann::json stopped = nlohmann::json::parse(ReadText(state));
  stopped["finished"] = false;
  std::ofstream(state) << stopped;
  ExpectRefusal(Run("ablations", "other", "page", {"--base", Path("half")}),
                {"--base", "half/language", "wanted a finished stage", "of step 3"});
  EXPECT_FALSE(fs::exists(Path("other"))) << "nothing was begun";
  std::vector<std::string> longer = one;
  longer.insert(longer.end(), {"--multitask-steps", "9"});
  ExpectRefusal(
      Run("ablations", "work", "page", longer),
      {"reference-s1", "other settings", "multitask:schedule.steps=8", "multitask:schedule.steps=9"});
  std::ofstream(Path("work/runs/linear-s1/score.json")) << "{";
  const ProcessResult damaged = Run("ablations", "work", "page", one);
  EXPECT_EQ(damaged.exit_code, 2);
  EXPECT_NE(damaged.err.find("linear-s1/score.json: wanted what"), std::string::npos) << damaged.err;
}

}  // namespace
}  // namespace mobilevlm
