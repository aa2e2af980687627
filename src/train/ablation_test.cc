// What experiments build on: runs that share a stage 0, keys of the recipe that change one thing, and scores.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/mini.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/runlog/run_log.h"
#include "train/score.h"
#include "train/shared_stages.h"
#include "train/test_support.h"
#include "world/world.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

MiniPlan Plan(const std::string& directory, const std::string& from, std::vector<std::string> overrides) {
  overrides.insert(overrides.begin(), {"schedule.steps=3", "schedule.warmup_steps=1", "run.log_every=1",
                                       "mini.scenes=32", "mini.questions_per_kind=2", "run.samples=1"});
  auto plan = MiniPlan::Read(overrides, /*quick=*/true);
  MVLM_CHECK(plan.has_value(), "{}", plan.error().message);
  plan->directory = directory;
  plan->from = from;
  return std::move(*plan);
}

// One stage 0 for all tests.
class Ablation : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = std::make_unique<TemporaryDirectory>();
    const Status trained = RunMini(Plan(Base(), "", {}), {"tower", "language"});
    MVLM_CHECK(trained.has_value(), "{}", trained.error().message);
  }
  static void TearDownTestSuite() { base_.reset(); }
  static std::string Base() { return base_->path(); }

  std::string Run(const std::string& name) const { return runs_.path() + "/" + name; }
  // align and multitask, and the score of what they trained.
  nlohmann::ordered_json Train(const std::string& name, const std::vector<std::string>& overrides,
                               const std::vector<std::string>& stages = {"align", "multitask"}) const {
    const Status trained = RunMini(Plan(Run(name), Base(), overrides), stages);
    EXPECT_TRUE(trained.has_value()) << ErrorOf(trained);
    auto score = ScoreRun({.run = Run(name), .per_kind = 2, .threads = 2});
    EXPECT_TRUE(score.has_value()) << (score ? "" : score.error().message);
    return score.value_or(nlohmann::ordered_json());
  }
  static NamedTensors Weights(const std::string& stage_directory) {
    auto file = ReadStageWeights(stage_directory);
    MVLM_CHECK(file.has_value(), "{}", file.error().message);
    NamedTensors copies;
    for (const auto& [name, tensor] : file->tensors) copies[name] = tensor.clone();
    return copies;
  }

  static std::unique_ptr<TemporaryDirectory> base_;
  TemporaryDirectory runs_;
};
std::unique_ptr<TemporaryDirectory> Ablation::base_;

TEST_F(Ablation, EveryProjectorTrainsAndIsScored) {
  const std::map<std::string, std::pair<std::vector<std::string>, int>> variants = {
      {"linear", {{"mini.projector=linear"}, 144}},
      {"mlp2x", {{"mini.projector=mlp2x_gelu"}, 144}},
      {"ldp", {{"mini.projector=ldpnet"}, 36}},
      {"no-peg", {{"mini.projector=ldpnetv2_no_peg"}, 36}},
      {"pool-1", {{"mini.pool=1"}, 144}},
      {"pool-3", {{"mini.pool=3"}, 16}},
      {"pool-4", {{"mini.pool=4"}, 9}}};
  for (const auto& [name, variant] : variants) {
    SCOPED_TRACE(name);
    const nlohmann::ordered_json score = Train(name, variant.first);
    ASSERT_TRUE(score.is_object());
    EXPECT_EQ(score["tokens"], variant.second);
    EXPECT_EQ(score["samples"], 2 * 3 * 8);
    EXPECT_EQ(score["step"], 3);
    EXPECT_EQ(score["kinds"].size(), world::Kinds().size());
    EXPECT_EQ(score["kinds"]["name"]["right"].get<std::string>().size(), 2u);
    EXPECT_EQ(score["kinds"]["fact"]["blank"].get<std::string>().size(), 2u);
    const auto log = ReadLog(Run(name) + "/align/log.jsonl");
    ASSERT_TRUE(log.has_value());
    EXPECT_GT(log->front()["cell_distance"].get<double>(), 0) << "all are shown the words of their cells";
  }
  // Stage 0 was neither trained again nor encoded again.
  EXPECT_EQ(std::distance(fs::directory_iterator(Base() + "/features"), fs::directory_iterator()), 1);
  EXPECT_EQ(LatestCheckpoint(Base() + "/tower")->step, 3);
}

TEST_F(Ablation, AScoreIsTheSameEveryTimeAndWhateverTheThreads) {
  const nlohmann::ordered_json first = Train("run", {});
  const auto again = ScoreRun({.run = Run("run"), .per_kind = 2, .threads = 1});
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(first, *again);
  EXPECT_EQ(first["projector"], "ldpnetv2");
  EXPECT_EQ(first["projector_parameters"], 32 * 64 + 64 + 64 * 64 + 64 + 64 * 9 + 64);
}

TEST_F(Ablation, AFrozenDecoderMovesInTheSecondStageOnly) {
  Train("run", {"align:model.train=projector"});
  const NamedTensors language = Weights(Base() + "/language"), align = Weights(Run("run") + "/align"),
                     multitask = Weights(Run("run") + "/multitask");
  int decoder = 0;
  for (const auto& [name, tensor] : align) {
    if (PartOf(name) != ModelPart::kLanguage) continue;
    EXPECT_TRUE(torch::equal(tensor, language.at(name))) << name;
    if (name == "cell_places") continue;  // multitask has none
    EXPECT_FALSE(torch::equal(tensor, multitask.at(name))) << name;
    ++decoder;
  }
  EXPECT_GT(decoder, 15);
  const std::string weight = "model.mm_projector.mlp.mlp.0.weight";
  EXPECT_FALSE(torch::equal(align.at(weight), multitask.at(weight)));
}

TEST_F(Ablation, OneStageBeginsWithTheLanguageStage) {
  const nlohmann::ordered_json score =
      Train("run", {"multitask:mini.from=language", "multitask:schedule.steps=6"}, {"multitask"});
  EXPECT_EQ(score["samples"], 6 * 8);
  EXPECT_FALSE(fs::exists(Run("run") + "/align"));
  const auto log = ReadLog(Run("run") + "/multitask/log.jsonl");
  ASSERT_TRUE(log.has_value());
  EXPECT_GT(log->front()["cell_distance"].get<double>(), 0);
  EXPECT_GT(log->front()["look_loss"].get<double>(), 0);
}

TEST_F(Ablation, RefusesWhatCannotBe) {
  const auto error = [&](const std::string& name, const std::string& from,
                         const std::vector<std::string>& overrides, const std::vector<std::string>& stages) {
    return ErrorOf(RunMini(Plan(Run(name), from, overrides), stages));
  };
  // Before anything is trained.
  EXPECT_EQ(error("linear", Base(), {"mini.projector=linear"}, {}),
            "export: the projector linear has no GGUF form; name the stages to train (--stage), "
            "`mobilevlm-train score` measures it");
  EXPECT_FALSE(fs::exists(Run("linear")));
  EXPECT_NE(error("pool", Base(), {"mini.pool=3"}, {"export"}).find("ldpnetv2, pool 3"), std::string::npos);
  EXPECT_EQ(error("none", Run("nowhere"), {}, {"align"}),
            "--from: " + Run("nowhere") + "/tower: no checkpoint; this stage has not been trained");
  // The base itself is no run that shares it.
  EXPECT_EQ(ErrorOf(ShareStages(Base(), Base())),
            fmt::format("--from: {0}/tower is this run's own, wanted a link to {0}/tower", Base()));
  // Other sizes than the base's.
  EXPECT_NE(error("wide", Base(), {"mini.hidden=128", "mini.head_dim=64"}, {"align"}).find("wanted shape"),
            std::string::npos);
  const auto score = ScoreRun({.run = Run("nowhere")});
  ASSERT_FALSE(score.has_value());
  EXPECT_NE(score.error().message.find("nowhere/multitask: no checkpoint"), std::string::npos);
}

TEST_F(Ablation, AnUnfinishedBaseIsRefused) {
  const TemporaryDirectory other;
  ASSERT_TRUE(RunMini(Plan(other.path(), "", {}), {"tower"}).has_value());
  const std::string state = LatestCheckpoint(other.path() + "/tower")->path + "/state.json";
  std::ofstream(state) << R"({"step": 3, "finished": false})";
  EXPECT_EQ(
      ErrorOf(ShareStages(other.path(), Run("run"))),
      "--from: " + other.path() + "/tower: wanted a finished stage, its newest checkpoint is of step 3");
}

TEST_F(Ablation, SharedStagesAreNotTrainedFromHere) {
  ASSERT_TRUE(ShareStages(Base(), Run("run")).has_value());
  ASSERT_TRUE(ShareStages(Base(), Run("run")).has_value()) << "the same links again";
  // More steps would continue the tower of the base.
  const Status status = RunMini(Plan(Run("run"), "", {"schedule.steps=5"}), {"tower", "language"});
  ASSERT_TRUE(status.has_value()) << ErrorOf(status);
  EXPECT_EQ(LatestCheckpoint(Base() + "/tower")->step, 3);
}

TEST(AblationKeys, MistakesAreNamed) {
  const auto error = [](const std::string& assignment) {
    const auto plan = MiniPlan::Read({assignment}, true);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_NE(
      error("mini.projector=ldp").find("wanted one of ldpnetv2, ldpnet, mlp2x_gelu, linear, ldpnetv2_no_peg"),
      std::string::npos);
  EXPECT_NE(error("mini.pool=5").find("wanted a divisor of the 12 patches"), std::string::npos);
  EXPECT_NE(error("mini.from=tower").find("wanted one of align, language"), std::string::npos);
  EXPECT_NE(error("model.train=projector").find("the mini stage"), std::string::npos);
  EXPECT_NE(error("align:model.train=tower").find("found \"tower\""), std::string::npos);
  EXPECT_EQ(error("align:model.train=projector"), "");
  EXPECT_EQ(error("mini.pool=3"), "");
}

}  // namespace
}  // namespace mobilevlm::train
