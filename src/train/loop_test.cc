// What the training loop reports and when it saves, of a stage that is one weight.
#include "train/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <functional>
#include <optional>
#include <stdexcept>
#include <thread>

#include "costs/ceilings.h"
#include "data/skip_list.h"
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

  Result<LoopEnd> Run() { return RunLoop(stage, {directory_.path(), recipe, peak_threads}, stop); }
  StepLoss Step(
      float number, size_t micro_batches = 1, const std::function<void(size_t)>& meanwhile = [](size_t) {}) {
    return parallel_.Step(optimizer_.gradients(), micro_batches, [&](size_t i) {
      meanwhile(i);
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
  int peak_threads = 0;

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

// A step of a large model takes hours: what is left of it is not waited for, and what it has is dropped.
TEST(Loop, StopsWithinAStepAndForgetsIt) {
  OneWeight one;
  torch::Tensor before;
  int ran = 0;
  one.stage.step = [&](int64_t step) {
    before = one.weight().clone();
    return one.Step(1.0f, 4, [&](size_t micro_batch) {
      if (step < 6) return;
      ++ran;
      if (micro_batch == 1) std::raise(SIGTERM);
    });
  };
  const auto end = one.Run();
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kStopped);
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(one.SavedStep(), 6);
  EXPECT_TRUE(torch::equal(one.weight(), before));
  ASSERT_EQ(one.Log().size(), 1u);
  EXPECT_EQ(one.Log()[0].at("step"), 6);
}

TEST(Loop, AStopInTheFirstStepLeavesNothingAndComplainsOfNothing) {
  OneWeight one;
  one.stage.step = [&](int64_t) {
    std::raise(SIGTERM);
    return one.Step(1.0f);
  };
  testing::internal::CaptureStderr();
  const auto end = one.Run();
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "one: stopped after step 0; the same command continues\n");
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(*end, LoopEnd::kStopped);
  EXPECT_EQ(one.SavedStep(), 0);
}

TEST(Loop, TooManySamplesLeftOutEndItWithACheckpoint) {
  OneWeight one;
  std::optional<data::SkipList> skips(std::in_place, 0.01, 200);
  int lists = 0;
  one.recipe.run.save_every = 2;
  one.recipe.run.log_every = 1;
  one.stage.left_out = [&] { return skips->counts(); };
  one.stage.check_left_out = [&](const data::SkipList::Counts& all) { return skips->Check(all); };
  one.stage.list_left_out = [&] { ++lists; };
  one.stage.step = [&](int64_t number) {
    skips->Seen(10);
    if (number == 1 || number == 3 || number == 12)
      skips->Skip(static_cast<uint64_t>(number), "torn picture");
    return one.Step(1.0f);
  };
  ASSERT_TRUE(one.Run().has_value());
  EXPECT_EQ(lists, 5);
  EXPECT_EQ(one.Log()[8].at("left_out"), 2);

  // What was left out before it was continued counts.
  one.recipe.schedule.steps = 20;
  skips.emplace(0.01, 200);
  const auto end = one.Run();
  ASSERT_FALSE(end.has_value());
  EXPECT_THAT(end.error().message,
              testing::HasSubstr("3 of 200 samples cannot be used, more than 1 %; the first: torn picture"));
  EXPECT_EQ(one.SavedStep(), 13);
}

TEST(Loop, TellsItsShareOfTheMeasuredPeak) {
  OneWeight one;
  one.peak_threads = 1;
  one.stage.step = [&](int64_t) {
    Sleep(milliseconds(10));
    StepLoss loss = one.Step(1.0f);
    loss.flops = 1e7;  // about 1 GFLOP/s
    return loss;
  };
  ASSERT_TRUE(one.Run().has_value());
  const nlohmann::json line = one.Log().front();
  const double gflops = line.at("gflops_per_second"),
               peak = gflops / line.at("flop_utilisation").get<double>();
  EXPECT_GT(gflops, 0.1);
  EXPECT_LT(gflops, 1.01);
  const double measured = costs::MeasureFp32Gflops(1);
  EXPECT_GT(peak, measured / 4);
  EXPECT_LT(peak, measured * 4);
}

TEST(Prefetch, HandsOutWhatIsReadyBeforeAnError) {
  Prefetcher<int64_t> numbers(0, 100, 3, 8, [](int64_t i) {
    if (i == 5) throw std::runtime_error("five");
    if (i == 4) Sleep(milliseconds(50));  // so the error is there before this one
    return i;
  });
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(numbers.Next(), i);
  EXPECT_THROW(numbers.Next(), std::runtime_error);
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
