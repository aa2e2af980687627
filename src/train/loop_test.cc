// What the training loop reports, of a stage that is one parameter.
#include "train/loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "train/prefetch.h"
#include "train/runlog/run_log.h"
#include "train/test_support.h"

namespace mobilevlm::train {
namespace {

using std::chrono::milliseconds;

void Sleep(milliseconds time) { std::this_thread::sleep_for(time); }

// "waiting" in log.jsonl where one loader makes a batch in `loading` and a step takes `computing`.
double WaitingShare(milliseconds loading, milliseconds computing) {
  const TemporaryDirectory directory;
  Recipe recipe;
  recipe.stage = "one";
  recipe.schedule.steps = recipe.run.log_every = 10;
  torch::nn::Linear module(1, 1);
  DataParallel parallel(1, false);
  Optimizer optimizer(MakeGroups(*module, {}));
  Prefetcher<float> batches(0, recipe.schedule.steps, 1, 4, [&](int64_t step) {
    Sleep(loading);
    return static_cast<float>(step);
  });
  LoopStage stage;
  stage.module = module.get();
  stage.optimizer = &optimizer;
  stage.parallel = &parallel;
  stage.step = [&](int64_t) {
    const torch::Tensor batch = torch::full({1, 1}, batches.Next());
    Sleep(computing);
    return parallel.Step(optimizer.gradients(), 1, [&](size_t) {
      return MicroLoss{module(batch).square().mean(), 1};
    });
  };
  stage.take_waited = [&] { return batches.TakeWaitedSeconds(); };
  StopSignal stop;
  const auto end = RunLoop(stage, {directory.path(), recipe}, stop);
  MVLM_CHECK(end.has_value(), "{}", end.error().message);
  const auto log = ReadLog(directory.path() + "/one/log.jsonl");
  MVLM_CHECK(log.has_value() && log->size() == 1, "{}", directory.path());
  return log->front().at("waiting");
}

TEST(Loop, SaysHowMuchOfTheTimeItWaitsForData) {
  EXPECT_GT(WaitingShare(milliseconds(50), milliseconds(1)), 0.6);
  EXPECT_LT(WaitingShare(milliseconds(0), milliseconds(50)), 0.2);
  // What the loader does meanwhile is not waited for: about half of each batch here.
  const double half = WaitingShare(milliseconds(100), milliseconds(50));
  EXPECT_GT(half, 0.3);
  EXPECT_LT(half, 0.7);
}

}  // namespace
}  // namespace mobilevlm::train
