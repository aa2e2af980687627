// mobilevlm-train as a program: killed, interrupted, out of disk, told nonsense.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "process.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/runlog/run_log.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;
using golden::Process;
using golden::ProcessOptions;
using golden::ProcessResult;

class Trainer : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mobilevlm-trainer-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // The tower stage of the quick mini model in `run`.
  ProcessResult Tower(const std::string& run, int steps, const ProcessOptions& options = {}) const {
    return Process::Run(
        {"mini", "--quick", "--out", Path(run), "--stage", "tower", "--save-every", "2", "--threads", "1",
         "--set", fmt::format("schedule.steps={}", steps), "--set", "run.log_every=1", "--set",
         "run.validate_every=1000", "--set", "run.validation_samples=4"},
        options);
  }

  std::vector<double> Losses(const std::string& run) const {
    std::vector<double> losses;
    const auto lines = ReadLog(Path(run) + "/tower/log.jsonl");
    EXPECT_TRUE(lines.has_value()) << lines.error().message;
    for (const nlohmann::json& line : lines.value_or(std::vector<nlohmann::json>{})) {
      EXPECT_EQ(line["step"].get<size_t>(), losses.size() + 1);
      losses.push_back(line["loss"].get<double>());
    }
    return losses;
  }

  std::string directory_;
};

TEST_F(Trainer, KilledAtAnyMomentItContinuesToTheBit) {
  constexpr int kSteps = 10;
  const ProcessResult whole = Tower("whole", kSteps);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  // Once in the first steps, once in the middle; the second run may have nothing to continue from yet.
  for (const char* file : {"/tower/log.jsonl", "/tower/checkpoint-00000006/state.json"}) {
    const ProcessResult killed =
        Tower("parts", kSteps, {.interrupt_when = Path("parts") + file, .interrupt_signal = SIGKILL});
    EXPECT_EQ(killed.signal, SIGKILL) << "it ended before it was killed: " << killed.err;
  }
  const auto latest = LatestCheckpoint(Path("parts/tower"));
  ASSERT_TRUE(latest.has_value());
  EXPECT_GE(latest->step, 6);
  const ProcessResult rest = Tower("parts", kSteps);
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(Losses("whole"), Losses("parts"));
  EXPECT_EQ(Losses("whole").size(), static_cast<size_t>(kSteps));
}

TEST_F(Trainer, CtrlCSavesAndTheSameCommandContinues) {
  const ProcessResult stopped = Tower("run", 1000, {.interrupt_when = Path("run/tower/log.jsonl")});
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  const auto latest = LatestCheckpoint(Path("run/tower"));
  ASSERT_TRUE(latest.has_value());
  const std::string said = fmt::format("stopped after step {};", latest->step);
  EXPECT_NE(stopped.err.find(said), std::string::npos) << stopped.err;
  EXPECT_EQ(Losses("run").size(), static_cast<size_t>(latest->step));
}

TEST_F(Trainer, AFullDiskKeepsThePreviousCheckpoint) {
  ASSERT_EQ(Tower("run", 1000, {.interrupt_when = Path("run/tower/log.jsonl")}).exit_code, 0);
  const auto before = LatestCheckpoint(Path("run/tower"));
  ASSERT_TRUE(before.has_value());
  const ProcessResult full = Tower("run", 1000, {.file_size = 20'000});
  EXPECT_EQ(full.exit_code, 2);
  EXPECT_NE(full.err.find("cannot write"), std::string::npos) << full.err;
  EXPECT_EQ(LatestCheckpoint(Path("run/tower"))->step, before->step);
  const ProcessResult rest = Tower("run", static_cast<int>(before->step) + 2);
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_EQ(Losses("run").size(), static_cast<size_t>(before->step) + 2);
}

TEST_F(Trainer, ACheckpointHoldsTheRecipeAsItWasRun) {
  ASSERT_EQ(Tower("run", 2).exit_code, 0);
  std::ifstream stream(Path("run/tower/latest/recipe.toml"));
  const std::string toml{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_NE(toml.find("\nsteps = 2\n"), std::string::npos) << toml;
  EXPECT_NE(toml.find("\nvision_hidden = 32\n"), std::string::npos) << toml;
}

TEST_F(Trainer, NonsenseIsOneLineAndExitCodeTwo) {
  const auto expect = [&](std::vector<std::string> arguments, const std::string& part) {
    const ProcessResult result = Process::Run(arguments);
    EXPECT_EQ(result.exit_code, 2) << fmt::format("{}", fmt::join(arguments, " "));
    EXPECT_EQ(result.error_lines(), 1u) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  const auto file = [&](const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
    return Path(name);
  };
  const std::string out = Path("out");
  expect({"run", "no-such-recipe", "--out", out}, "no recipe no-such-recipe.toml");
  expect({"run", Path("none.toml"), "--out", out}, "none.toml");
  expect({"run", file("a.toml", "stage = \"x\"\nsteps 3\n"), "--out", out}, "a.toml:2: ");
  expect({"run", file("b.toml", "stage = \"x\"\n\n[schedule]\nstep = 3\n"), "--out", out},
         "b.toml:4: unknown key schedule.step");
  expect({"run", file("c.toml", "stage = \"x\"\n[schedule]\nsteps = \"many\"\n"), "--out", out},
         "c.toml:3: schedule.steps: wanted a whole number, found a string");
  expect({"run", "lora", "--out", out}, "model.start");
  // Annotations are looked at before weights.
  expect({"run", "lora", "--out", out, "--set", "model.start=" + Path("none"), "--set",
          "data.annotations=" + file("x.json", "[]")},
         "x.json: there is no sample in it");
  const std::string sample =
      R"([{"id": "1", "conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "B."}]}])";
  expect({"run", "lora", "--out", out, "--set", "model.start=" + Path("none"), "--set",
          "data.annotations=" + file("y.json", sample)},
         "none/config.json");
  expect({"run", "lora", "--out", out, "--set", "lora.rnak=4"}, "unknown key lora.rnak");
  const std::string nano = std::string(MOBILEVLM_SOURCE_DIR) + "/tests/golden/nano-ldpv2/hf";
  expect({"run", "lora", "--out", out, "--set", "model.start=" + nano, "--set",
          "data.annotations=" + Path("none.json"), "--set", "lora.rank=4"},
         "none.json");
  expect({"report", Path("nothing"), "-o", Path("x.html")}, "nothing");
}

}  // namespace
}  // namespace mobilevlm::train
