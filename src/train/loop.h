// The training loop that all stages share: schedule, steps, log, validation, checkpoints, resume, stop.
//
// Of several processes each runs the loop; they stop, save and validate at the same steps, rank 0 writes.
//
// Writes DIR/log.jsonl (one object per log line: step, loss, its parts, lr, gradient norm, samples/s,
// the operations per second of the model's products and attention with their share of the measured float32
// peak, the share of time that the exchange between processes took beside the backward pass, and "validation"
// where it ran) and DIR/checkpoint.pt. A batch depends on the step's number alone, so a resumed run continues
// exactly.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/mini_config.h"
#include "train/optim.h"
#include "train/parallel/data_parallel.h"
#include "train/stop_signal.h"

namespace mobilevlm::train {

struct LoopOptions {
  std::string directory;  // of this stage; created
  int64_t steps = 0;
  int64_t warmup = 0;
  double floor = 0.01;  // last learning rate relative to the peak
  double clip = 1.0;
  int64_t log_every = 50;
  int64_t validate_every = 500;
  double checkpoint_minutes = 5;
  double peak_gflops = 0;  // ParallelOptions
};

LoopOptions MakeLoopOptions(const StageOptions& stage, const std::string& name);

struct LoopStage {
  std::string name;
  torch::nn::Module* module = nullptr;  // everything the checkpoint holds, trained or not
  Optimizer* optimizer = nullptr;
  ProcessGroup* processes = nullptr;  // all run the loop; rank 0 writes its files
  std::vector<std::string> part_names;
  double samples_per_step = 0;
  // Called once, after a resume is known; the next step to run.
  std::function<void(int64_t first_step)> start;
  std::function<StepLoss(int64_t step)> step;
  std::function<nlohmann::json()> validate;
};

enum class LoopEnd { kFinished, kStopped };

// Continues from DIR/checkpoint.pt if there is one; a finished stage only loads its weights.
Result<LoopEnd> RunLoop(const LoopStage& stage, const LoopOptions& options, StopSignal& stop);

// Has the stage in `directory` finished all its steps?
bool StageFinished(const std::string& directory);

}  // namespace mobilevlm::train
