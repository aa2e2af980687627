// The training machinery: optimizer, data parallelism, checkpoints, resume, and a run of every stage.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "checkpoint/hf_directory.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/mini.h"
#include "train/parallel/data_parallel.h"
#include "train/stages/tower.h"

namespace mobilevlm::train {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mobilevlm-train-XXXXXX").string();
    MVLM_CHECK(mkdtemp(pattern.data()) != nullptr, "{}", pattern);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<nlohmann::json> ReadLog(const std::string& directory) {
  std::vector<nlohmann::json> lines;
  std::ifstream stream(directory + "/log.jsonl");
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(CosineFactor, WarmsUpThenFallsToTheFloor) {
  EXPECT_DOUBLE_EQ(CosineFactor(0, 10, 110, 0.1), 0.1);
  EXPECT_DOUBLE_EQ(CosineFactor(9, 10, 110, 0.1), 1.0);
  EXPECT_DOUBLE_EQ(CosineFactor(10, 10, 110, 0.1), 1.0);
  EXPECT_DOUBLE_EQ(CosineFactor(60, 10, 110, 0.1), 0.55);
  EXPECT_DOUBLE_EQ(CosineFactor(110, 10, 110, 0.1), 0.1);
}

TEST(Optimizer, MovesItsParametersAndNoOthers) {
  torch::manual_seed(1);
  torch::nn::Linear trained(4, 3), frozen(3, 2);
  const torch::Tensor before = frozen->weight.clone(), moved = trained->weight.clone();
  Optimizer optimizer(DecayGroups(*trained, "trained.", 0.1, 0.0));
  DataParallel parallel(1, false);
  const torch::Tensor x = torch::randn({5, 4});
  parallel.Step(optimizer.gradients(), 1, [&](size_t) {
    return MicroLoss{frozen(trained(x)).square().mean(), 5, {}};
  });
  optimizer.Step(1.0, 1.0);
  EXPECT_TRUE(torch::equal(frozen->weight, before));
  EXPECT_FALSE(frozen->weight.grad().defined());
  EXPECT_FALSE(torch::equal(trained->weight, moved));
}

TEST(Optimizer, DecaysMatricesOnly) {
  torch::nn::Linear linear(4, 3);
  const auto groups = DecayGroups(*linear, "", 0.1, 0.5);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].parameters.at(0).first, "weight");
  EXPECT_EQ(groups[0].weight_decay, 0.5);
  EXPECT_EQ(groups[1].parameters.at(0).first, "bias");
  EXPECT_EQ(groups[1].weight_decay, 0.0);
}

TEST(Optimizer, ClipsTheCommonNorm) {
  torch::Tensor a = torch::zeros({2}, torch::requires_grad()), b = torch::zeros({1}, torch::requires_grad());
  Optimizer optimizer({ParameterGroup{{{"a", a}, {"b", b}}, 0.1, 0.0}});
  DataParallel parallel(1, false);
  parallel.Step(optimizer.gradients(), 1, [&](size_t) { return MicroLoss{3 * a[0] + 4 * b[0], 1}; });
  EXPECT_NEAR(optimizer.Step(1.0, 1.0), 5.0, 1e-5);
  EXPECT_NEAR(a.grad()[0].item<float>(), 0.6f, 1e-4);
}

// One step over uneven micro-batches equals one step over all rows, whatever the number of threads.
TEST(DataParallel, WeighsMicroBatchesByTheirItems) {
  torch::manual_seed(2);
  torch::nn::Linear linear(6, 1);
  const torch::Tensor x = torch::randn({10, 6});
  const auto gradient = [&](int threads, const std::vector<int64_t>& cuts) {
    DataParallel parallel(threads, false);
    GradientBuckets gradients(DecayGroups(*linear, "", 0.1, 0.0), parallel.processes(), parallel.sharing());
    const auto loss = parallel.Step(gradients, cuts.size() - 1, [&](size_t i) {
      const torch::Tensor part = x.slice(0, cuts[i], cuts[i + 1]);
      return MicroLoss{linear(part).square().mean(), static_cast<double>(cuts[i + 1] - cuts[i]), {1.0}};
    });
    EXPECT_EQ(loss.weight, 10);
    EXPECT_DOUBLE_EQ(loss.parts.at(0), 1.0);
    return linear->weight.grad().clone();
  };
  const torch::Tensor whole = gradient(1, {0, 10});
  const torch::Tensor cut = gradient(2, {0, 3, 4, 10});
  EXPECT_LT((whole - cut).abs().max().item<float>(), 1e-6f);
  EXPECT_TRUE(torch::equal(cut, gradient(1, {0, 3, 4, 10})));  // to the bit
}

TEST(Checkpoint, RoundTripAndMisfits) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.pt";
  torch::nn::Linear linear(3, 2);
  Checkpoint checkpoint{ModuleTensors(*linear, "m:"), {{"step", "7"}}};
  ASSERT_TRUE(WriteCheckpoint(path, checkpoint).has_value());
  const auto read = ReadCheckpoint(path);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->meta.at("step"), "7");
  torch::nn::Linear other(3, 2), wide(4, 2);
  ASSERT_TRUE(LoadModule(*other, read->tensors, "m:").has_value());
  EXPECT_TRUE(torch::equal(other->weight, linear->weight));
  const auto misfit = LoadModule(*wide, read->tensors, "m:");
  ASSERT_FALSE(misfit.has_value());
  EXPECT_EQ(misfit.error().message, "tensor 'm:weight': wanted shape [2, 4], found [2, 3]");
  const auto missing = LoadModule(*wide, read->tensors, "n:");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message, "no tensor 'n:weight'");
}

TEST(Checkpoint, RubbishIsAnError) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.pt";
  std::ofstream(path) << "not a checkpoint";
  EXPECT_FALSE(ReadCheckpoint(path).has_value());
  EXPECT_FALSE(ReadCheckpoint(directory.path() + "/none.pt").has_value());
}

// A run stopped by a signal after its first step and continued gives the losses of a run without a stop.
TEST(Resume, ContinuesToTheBit) {
  const TemporaryDirectory one, two;
  auto world = world::World::Create({.side = 144});
  ASSERT_TRUE(world.has_value()) << world.error().message;
  const MiniPlan quick = MiniPlan::Quick();
  StageOptions options = quick.tower;
  options.steps = 6;
  options.log_every = 1;
  options.validation_samples = 4;
  StopSignal stop;
  options.directory = one.path();
  auto end = TrainTower(*world, quick.config, options, stop);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kFinished);

  options.directory = two.path();
  std::raise(SIGTERM);  // blocked by StopSignal, so it waits to be asked for
  end = TrainTower(*world, quick.config, options, stop);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  ASSERT_EQ(*end, LoopEnd::kStopped);
  StopSignal again;
  end = TrainTower(*world, quick.config, options, again);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kFinished);

  const auto whole = ReadLog(one.path() + "/tower"), parts = ReadLog(two.path() + "/tower");
  ASSERT_EQ(whole.size(), 6u);
  ASSERT_EQ(parts.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(whole[i]["step"], parts[i]["step"]);
    EXPECT_EQ(whole[i]["loss"].get<double>(), parts[i]["loss"].get<double>()) << "step " << i + 1;
  }
}

TEST(Mini, RefusesKindWeightsThatMeanNothing) {
  MiniPlan plan = MiniPlan::Quick();
  plan.text.kind_weights = {{"smell", 2.0}};
  EXPECT_NE(RunMini(plan, {}).error().message.find("'smell'"), std::string::npos);
  plan.text.kind_weights = {{"count", -1.0}};
  EXPECT_NE(RunMini(plan, {}).error().message.find("count"), std::string::npos);
}

TEST(Mini, QuickRunLowersTheLossOfEveryStageAndExports) {
  const TemporaryDirectory directory;
  MiniPlan plan = MiniPlan::Quick();
  plan.directory = directory.path();
  const Status status = RunMini(plan, {});
  ASSERT_TRUE(status.has_value()) << status.error().message;
  for (const std::string stage : {"tower", "language", "align", "multitask"}) {
    const auto log = ReadLog(directory.path() + "/" + stage);
    ASSERT_GE(log.size(), 2u) << stage;
    EXPECT_LT(log.back()["loss"].get<double>(), log.front()["loss"].get<double>()) << stage;
    EXPECT_TRUE(StageFinished(directory.path() + "/" + stage));
  }
  const auto hf = HfDirectory::Open(directory.path() + "/hf");
  ASSERT_TRUE(hf.has_value()) << hf.error().message;
  EXPECT_EQ(hf->config.vision.used_layers, plan.config.vision.stored_layers);
  EXPECT_EQ(hf->config.projector.tokens(), 36);
  EXPECT_EQ(hf->config.llm.rms_eps, plan.config.llm.rms_eps);

  // A second run finds everything done: the checkpoint is not written again.
  const auto written = std::filesystem::last_write_time(directory.path() + "/multitask/checkpoint.pt");
  ASSERT_TRUE(RunMini(plan, {"multitask"}).has_value());
  EXPECT_EQ(std::filesystem::last_write_time(directory.path() + "/multitask/checkpoint.pt"), written);
}

}  // namespace
}  // namespace mobilevlm::train
