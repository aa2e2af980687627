// The training machinery: optimizer, data parallelism, checkpoints, resume, and a run of every stage.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/read_file.h"
#include "checkpoint/hf_directory.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/mini.h"
#include "train/mini_start.h"
#include "train/runlog/run_log.h"
#include "train/stages/tower.h"
#include "train/test_losses.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

std::vector<nlohmann::json> Log(const std::string& directory) {
  auto lines = ReadLog(directory + "/log.jsonl");
  MVLM_CHECK(lines.has_value(), "{}", lines.error().message);
  return std::move(*lines);
}

MiniPlan QuickPlan(const std::vector<std::string>& overrides = {}) {
  auto plan = MiniPlan::Read(overrides, /*quick=*/true);
  MVLM_CHECK(plan.has_value(), "{}", plan.error().message);
  return std::move(*plan);
}

std::vector<ParameterGroup> Groups(const torch::nn::Module& module, double rate, double decay = 0) {
  return MakeGroups(module, {.learning_rate = rate, .weight_decay = decay});
}

TEST(Optimizer, MovesItsParametersAndNoOthers) {
  torch::manual_seed(1);
  torch::nn::Linear trained(4, 3), frozen(3, 2);
  const torch::Tensor before = frozen->weight.clone(), moved = trained->weight.clone();
  Optimizer optimizer(Groups(*trained, 0.1));
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
  const auto groups = Groups(*linear, 0.1, 0.5);
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
    GradientBuckets gradients(Groups(*linear, 0.1), parallel.processes(), parallel.sharing());
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

// The model w x with w = 1: micro-batches of 3, 1 and 6 items with means 2, 10 and 4, and one of nothing. A
// token's average is (6 + 10 + 24) / 10; a rank's is that of the means, and what is empty has none.
TEST(DataParallel, AveragesOfUnevenMicroBatchesByHand) {
  const std::vector<std::vector<float>> items{{1, 2, 3}, {}, {10}, {4, 4, 4, 4, 4, 4}};
  const std::pair<LossAverage, double> kWanted[] = {{LossAverage::kToken, 4.0},
                                                    {LossAverage::kRank, 16.0 / 3}};
  for (const auto& [average, wanted] : kWanted) {
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(fmt::format("{} by {} threads", wanted, threads));
      torch::Tensor w = torch::ones({1}, torch::requires_grad());
      DataParallel parallel(ParallelOptions{.threads = threads, .average = average});
      GradientBuckets gradients({ParameterGroup{{{"w", w}}, 0.1, 0.0}}, parallel.processes(),
                                parallel.sharing());
      const StepLoss step = parallel.Step(gradients, items.size(), [&](size_t i) {
        const torch::Tensor x = torch::tensor(items[i]);
        return MicroLoss{(w * x).mean(), static_cast<double>(items[i].size()), {x.mean().item<double>()}, 5};
      });
      EXPECT_DOUBLE_EQ(step.loss, wanted);
      EXPECT_EQ(step.weight, 10);
      EXPECT_DOUBLE_EQ(step.parts.at(0), wanted);
      EXPECT_EQ(step.flops, 15);
      EXPECT_FLOAT_EQ(w.grad().item<float>(), static_cast<float>(wanted));
    }
  }
}

TEST(Checkpoint, RoundTripAndMisfits) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.safetensors";
  torch::nn::Linear linear(3, 2);
  NamedTensors tensors = ModuleTensors(*linear, "m:");
  tensors["narrow"] = torch::tensor({1.5f}).to(torch::kBFloat16);
  ASSERT_TRUE(WriteTensors(path, tensors).has_value());
  const auto read = ReadTensors(path);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->tensors.at("narrow").scalar_type(), torch::kBFloat16);
  EXPECT_EQ(read->tensors.at("narrow").item<float>(), 1.5f);
  torch::nn::Linear other(3, 2), wide(4, 2);
  ASSERT_TRUE(LoadModule(*other, read->tensors, "m:").has_value());
  EXPECT_TRUE(torch::equal(other->weight, linear->weight));
  const auto misfit = LoadModule(*wide, read->tensors, "m:");
  ASSERT_FALSE(misfit.has_value());
  EXPECT_EQ(misfit.error().message, "tensor 'm:weight': wanted shape [2, 4], found [2, 3]");
  const auto missing = LoadModule(*wide, read->tensors, "n:");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message, "no tensor 'n:weight'");
  wide->weight.requires_grad_(false);
  wide->bias.requires_grad_(false);
  EXPECT_TRUE(LoadModule(*wide, read->tensors, "n:", /*trained_only=*/true).has_value());
}

TEST(Checkpoint, RubbishIsAnError) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/c.safetensors";
  std::ofstream(path) << "not a checkpoint";
  EXPECT_FALSE(ReadTensors(path).has_value());
  EXPECT_FALSE(ReadTensors(directory.path() + "/none.safetensors").has_value());
  EXPECT_FALSE(ReadStageWeights(directory.path()).has_value());
}

// A run stopped by a signal behind its first step and continued gives the losses of a run without a stop.
TEST(Resume, ContinuesToTheBit) {
  const TemporaryDirectory one, two;
  auto world = world::World::Create({.side = 144});
  ASSERT_TRUE(world.has_value()) << world.error().message;
  StageOptions options;
  options.recipe =
      QuickPlan({"schedule.steps=6", "run.log_every=1", "run.validation_samples=4"}).recipes.at("tower");
  const MiniConfig config = MiniConfig::Of(options.recipe);
  StopSignal stop;
  options.directory = one.path();
  auto end = TrainTower(*world, config, options, stop);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kFinished);

  options.directory = two.path();
  {
    const StopAtFirstLine first_line(two.path() + "/tower/log.jsonl");
    end = TrainTower(*world, config, options, stop);
  }
  ASSERT_TRUE(end.has_value()) << end.error().message;
  ASSERT_EQ(*end, LoopEnd::kStopped);
  StopSignal again;
  end = TrainTower(*world, config, options, again);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kFinished);

  const auto whole = Log(one.path() + "/tower"), parts = Log(two.path() + "/tower");
  ASSERT_EQ(whole.size(), 6u);
  ASSERT_EQ(parts.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(whole[i]["step"], parts[i]["step"]);
    EXPECT_EQ(whole[i]["loss"].get<double>(), parts[i]["loss"].get<double>()) << "step " << i + 1;
  }
}

// The tower's stage too draws the scenes that mini.scene_shares asks for.
TEST(Mini, TheTowersScenesHaveTheirShares) {
  auto world = world::World::Create({.side = 144});
  ASSERT_TRUE(world.has_value()) << world.error().message;
  const auto first_loss = [&](const std::string& shares) {
    const TemporaryDirectory directory;
    StageOptions options;
    options.directory = directory.path();
    options.recipe = QuickPlan({"schedule.steps=1", "run.log_every=1", "run.validation_samples=4",
                                "tower:mini.scene_shares=" + shares})
                         .recipes.at("tower");
    StopSignal stop;
    EXPECT_TRUE(TrainTower(*world, MiniConfig::Of(options.recipe), options, stop).has_value());
    return Log(directory.path() + "/tower").at(0)["loss"].get<double>();
  };
  const double text = first_loss("{ text = 1 }");
  EXPECT_EQ(text, first_loss("{ text = 1 }"));
  EXPECT_NE(text, first_loss("{ chart = 1 }"));
  EXPECT_NE(text, first_loss("{ page = 1 }"));
  EXPECT_NE(text, first_loss("{}"));
}

TEST(Mini, RefusesWhatMeansNothing) {
  const auto error = [](const std::string& assignment) {
    const auto plan = MiniPlan::Read({assignment}, true);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_NE(error("mini.kind_weights={ smell = 2 }").find("'smell'"), std::string::npos);
  EXPECT_NE(error("mini.kind_weights={ count = -1 }").find("mini.kind_weights"), std::string::npos);
  EXPECT_NE(error("mini.scene_shares={ smell = 0.1 }").find("'smell'"), std::string::npos);
  EXPECT_NE(error("mini.scene_shares={ count = 0.7, fact = 0.5 }").find("found 1.2"), std::string::npos);
  EXPECT_EQ(error("tower:mini.scene_shares={ page = 0.5 }"), "");
  EXPECT_NE(error("multitask:mini.scene_shares={ page = 0.5 }").find("'page'"),
            std::string::npos);                                                      // no answer
  EXPECT_NE(error("mini.heads=3").find("heads"), std::string::npos);                 // do not divide
  EXPECT_NE(error("optimizer.beta2=1").find("optimizer.beta2"), std::string::npos);  // would divide by zero
  EXPECT_NE(error("mini.context=100").find("mini.context"), std::string::npos);      // no room for a question
  EXPECT_NE(error("tree:schedule.steps=2").find("no stage 'tree'"), std::string::npos);
  EXPECT_EQ(error("tower:schedule.steps=2"), "");
}

TEST(Mini, QuickRunLowersTheLossOfEveryStageAndExports) {
  const TemporaryDirectory directory;
  MiniPlan plan = QuickPlan({"run.log_every=1"});
  plan.directory = directory.path();
  const Status status = RunMini(plan, {});
  ASSERT_TRUE(status.has_value()) << status.error().message;
  nlohmann::json losses;
  for (const std::string stage : {"tower", "language", "align", "multitask"}) {
    const auto log = Log(directory.path() + "/" + stage);
    ASSERT_EQ(log.size(), 40u) << stage;
    EXPECT_LT(log.back()["loss"].get<double>(), log.front()["loss"].get<double>()) << stage;
    const int64_t steps = plan.recipes.at(stage).schedule.steps;
    EXPECT_TRUE(StageFinished(directory.path() + "/" + stage, steps));
    EXPECT_FALSE(StageFinished(directory.path() + "/" + stage, steps + 1)) << "more steps continue";
    for (const nlohmann::json& line : log) losses[stage].push_back(line["loss"]);
  }
  // Stages without a tolerance of their own begin where an earlier one ended, with what rounding has grown
  // to.
  ExpectRecordedLosses("quick_losses.json", losses, {{"tower", 2e-3}, {"language", 2e-3}}, 0.1);
  const MiniConfig config = MiniConfig::Of(plan.recipes.at("multitask"));
  const auto hf = HfDirectory::Open(directory.path() + "/hf");
  ASSERT_TRUE(hf.has_value()) << hf.error().message;
  EXPECT_EQ(hf->config.vision.used_layers, config.vision.stored_layers);
  EXPECT_EQ(hf->config.projector.tokens(), 36);
  EXPECT_EQ(hf->config.llm.rms_eps, config.llm.rms_eps);
  const auto report = ReadFile(directory.path() + "/report.html", 64 << 20);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  for (const std::string part :
       {"<h2>tower</h2>", "<h2>multitask</h2>", "tokens per second", "data:image/png;base64,"}) {
    EXPECT_NE(report->find(part), std::string::npos) << part;
  }

  // A second run finds everything done: the checkpoint is not written again.
  const std::string weights = directory.path() + "/multitask/latest/model.safetensors";
  const auto written = std::filesystem::last_write_time(weights);
  ASSERT_TRUE(RunMini(plan, {"multitask"}).has_value());
  EXPECT_EQ(std::filesystem::last_write_time(weights), written);

  // Another run begins with what this one wrote (model.start): tower, decoder and tokenizer are its.
  const auto start = ReadMiniStart(directory.path() + "/hf", config);
  ASSERT_TRUE(start.has_value()) << start.error().message;
  const auto tower = ReadStageWeights(directory.path() + "/tower");
  const auto decoder = ReadStageWeights(directory.path() + "/multitask");
  ASSERT_TRUE(tower.has_value() && decoder.has_value());
  for (const auto& [name, tensor] : start->tower)
    EXPECT_TRUE(torch::equal(tensor, tower->tensors.at("tower." + name))) << name;
  for (const auto& [name, tensor] : start->rest)
    EXPECT_TRUE(torch::equal(tensor, decoder->tensors.at(name))) << name;
  const TemporaryDirectory another;
  MiniPlan onward = QuickPlan({"run.log_every=1", "model.start=\"" + directory.path() + "/hf\"",
                               "schedule.steps=2", "schedule.warmup_steps=1"});
  onward.directory = another.path();
  ASSERT_TRUE(RunMini(onward, {"tower", "language"}).has_value());
  const double tower_at_start = Log(another.path() + "/tower").front()["loss"];
  EXPECT_LT(tower_at_start, losses["tower"].front().get<double>());
  const double language_at_start = Log(another.path() + "/language").front()["loss"];
  EXPECT_LT(language_at_start, losses["language"][20].get<double>());
  EXPECT_EQ(ReadFile(another.path() + "/tokenizer.model", 1 << 20).value(), start->tokenizer_model);

  MiniConfig deeper = config;
  ++deeper.llm.layers;
  const auto misfit = ReadMiniStart(directory.path() + "/hf", deeper);
  ASSERT_FALSE(misfit.has_value());
  EXPECT_NE(misfit.error().message.find("wanted 3 blocks in the decoder"), std::string::npos)
      << misfit.error().message;
}

}  // namespace
}  // namespace mobilevlm::train
