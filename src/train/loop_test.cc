// What the training loop reports and when it saves, of a stage that is one weight.
#include "train/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "train/prefetch.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/runlog/run_log.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

using std::chrono::milliseconds;

void Sleep(milliseconds time) { std::this_thread::sleep_for(time); }

// A stage "one" of ten steps whose model is one weight; its batch is one number.
class OneWeight {
 public:
  OneWeight() {
    recipe.stage = "one";
    recipe.schedule.steps = recipe.run.log_every = 10;
    stage.module = module_.get();
    stage.optimizer = &optimizer_;
    stage.parallel = &parallel_;
  }

  Result<LoopEnd> Run() { return RunLoop(stage, {directory_.path(), recipe}, stop); }
  StepLoss Step(float number) {
    return parallel_.Step(optimizer_.gradients(), 1, [&](size_t) {
      return MicroLoss{module_(torch::full({1, 1}, number)).square().mean(), 1};
    });
  }
  std::vector<nlohmann::json> Log() const {
    auto log = ReadLog(directory_.path() + "/one/log.jsonl");
    MVLM_CHECK(log.has_value(), "{}", log.error().message);
    return *std::move(log);
  }
  int64_t SavedStep() const {
    const auto latest = LatestCheckpoint(directory_.path() + "/one");
    return latest ? latest->step : 0;
  }
  torch::Tensor weight() const { return module_->weight.detach(); }

  StopSignal stop;
  Recipe recipe;
  LoopStage stage;

 private:
  TemporaryDirectory directory_;
  torch::nn::Linear module_{1, 1};
  DataParallel parallel_{1, false};
  Optimizer optimizer_{MakeGroups(*module_, {})};
};

// "waiting" in log.jsonl where one loader makes a batch in `loading` and a step takes `computing`.
double WaitingShare(milliseconds loading, milliseconds computing) {
  OneWeight one;
  Prefetcher<float> batches(0, one.recipe.schedule.steps, 1, 4, [&](int64_t step) {
    Sleep(loading);
    return static_cast<float>(step);
  });
  one.stage.step = [&](int64_t) {
    const float batch = batches.Next();
    Sleep(computing);
    return one.Step(batch);
  };
  one.stage.take_waited = [&] { return batches.TakeWaitedSeconds(); };
  const auto end = one.Run();
  MVLM_CHECK(end.has_value(), "{}", end.error().message);
  MVLM_CHECK(one.Log().size() == 1, "{} lines", one.Log().size());
  return one.Log().front().at("waiting");
}

TEST(Loop, SaysHowMuchOfTheTimeItWaitsForData) {
  EXPECT_GT(WaitingShare(milliseconds(50), milliseconds(1)), 0.6);
  EXPECT_LT(WaitingShare(milliseconds(0), milliseconds(50)), 0.2);
  // What the loader does meanwhile is not waited for: about half of each batch here.
  const double half = WaitingShare(milliseconds(100), milliseconds(50));
  EXPECT_GT(half, 0.3);
  EXPECT_LT(half, 0.7);
}

TEST(Loop, NumbersThatAreNotFiniteEndItAndMoveNothing) {
  OneWeight one;
  one.recipe.run.save_every = 1;
  torch::Tensor before;
  one.stage.step = [&](int64_t step) {
    before = one.weight().clone();
    return one.Step(step == 4 ? INFINITY : 1.0f);
  };
  const auto end = one.Run();
  ASSERT_FALSE(end.has_value());
  EXPECT_THAT(end.error().message, testing::HasSubstr("one step 5: wanted finite numbers, found loss inf"));
  EXPECT_TRUE(torch::equal(one.weight(), before));
  EXPECT_EQ(one.SavedStep(), 4);
  // The same command goes on from there.
  one.stage.step = [&](int64_t) { return one.Step(1.0f); };
  const auto again = one.Run();
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(one.SavedStep(), 10);
}

TEST(Loop, TwoRunsDoNotWriteIntoOneDirectory) {
  OneWeight one;
  Result<LoopEnd> second = LoopEnd::kFinished;
  one.stage.step = [&](int64_t step) {
    if (step == 3) second = one.Run();
    return one.Step(1.0f);
  };
  ASSERT_TRUE(one.Run().has_value());
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error().message, testing::HasSubstr("one: another process works in this directory"));
}

// A validation may take hours.
TEST(Loop, SavesBeforeItValidatesAndStopsWithoutIt) {
  OneWeight one;
  one.recipe.run.validate_every = 2;
  one.recipe.run.save_every = 4;
  one.stage.step = [&](int64_t) { return one.Step(1.0f); };
  std::vector<int64_t> saved;  // when it validates
  one.stage.validate = [&] {
    saved.push_back(one.SavedStep());
    if (saved.size() == 3) std::raise(SIGTERM);
    return nlohmann::json{{"right", 0.5}};
  };
  const auto end = one.Run();
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kStopped);
  EXPECT_EQ(saved, (std::vector<int64_t>{0, 4, 4}));
  EXPECT_EQ(one.SavedStep(), 6);
  const std::vector<nlohmann::json> log = one.Log();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_TRUE(log[1].contains("validation"));
  EXPECT_FALSE(log[2].contains("validation"));
}

}  // namespace
}  // namespace mobilevlm::train
