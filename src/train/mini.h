// The mini model's whole recipe: which stages, in which order, with which numbers.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "train/mini_config.h"

namespace mobilevlm::train {

struct MiniPlan {
  static const std::vector<std::string>& StageNames();  // tower, language, align, multitask, export

  // Tiny sizes and tens of steps: a minute in all, only to see that every stage learns something.
  static MiniPlan Quick();

  std::string directory;
  MiniConfig config;
  // The recipe of models/mini: about two hours of two cores. More steps of every stage still help.
  StageOptions tower{.steps = 5500, .warmup = 300};
  StageOptions language{
      .steps = 2400, .warmup = 150, .micro_batch = 8, .learning_rate = 1.5e-3, .weight_decay = 0.01};
  StageOptions align{
      .steps = 1200, .warmup = 50, .micro_batch = 8, .learning_rate = 2e-4, .weight_decay = 0.0};
  StageOptions multitask{
      .steps = 1300, .warmup = 100, .micro_batch = 8, .learning_rate = 1e-3, .weight_decay = 0.0};
  TextOptions text;
  int tokenizer_scenes = 4000;

  // For all stages.
  ParallelOptions parallel;  // but its bfloat16, which `precision` says
  int loaders = 1;
  int64_t micro_batch = 0;     // 0: the stage's own
  int64_t validate_every = 0;  // 0: the stage's own
  int64_t steps = 0;           // 0: the stage's own
  int64_t log_every = 0;       // 0: the stage's own
  double checkpoint_minutes = 5;
  std::string precision = "auto";  // of matrix products: float32, bfloat16, auto (bfloat16 where native)
  uint64_t seed = 1;
  std::string export_type = "f32";  // of the exported weights: f32, f16, bf16
};

// Runs the named stages (none named: all) that are not finished yet. A stop by signal is not an error. Of
// several processes (plan.parallel.processes) every one calls it, with the same plan; the run's directory is
// on storage that all of them see.
Status RunMini(const MiniPlan& plan, const std::vector<std::string>& stages);

}  // namespace mobilevlm::train
