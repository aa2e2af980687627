// The training loop that all stages share: schedule, steps, log, validation, checkpoints, resume, stop.
//
// Of several processes each runs the loop; they stop, save and validate at the same steps, rank 0 writes. A
// stop is heard between micro-batches; the step that it breaks off leaves nothing behind.
//
// Writes into DIR: checkpoint-STEP/ (checkpoint_directory.h) with the weights, optimizer.safetensors,
// state.json and recipe.toml; log.jsonl and TensorBoard events (run_log.h); samples.json; and
// RUN/report.html. Everything random is a function of the seed and the step's number, so a resumed run
// continues to the bit.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/skip_list.h"
#include "train/mini_config.h"
#include "train/optim.h"
#include "train/parallel/data_parallel.h"
#include "train/recipe/recipe.h"
#include "train/runlog/report.h"
#include "train/stop_signal.h"

namespace mobilevlm::train {

struct LoopOptions {
  std::string run_directory;  // of all stages; has the report
  Recipe recipe;              // its stage names the directory within; its schedule.steps is final
  int peak_threads = 0;       // of this process, to measure the float32 ceiling with, for the log; 0: unknown

  std::string directory() const { return run_directory + "/" + recipe.stage; }
};

// How a checkpoint holds the module.
struct SavedWeights {
  std::string file = "model.safetensors";
  std::string prefix = {};    // before every name
  bool trained_only = false;  // what stands still is elsewhere
  // Writes what belongs beside the tensors (config.json, tokenizer.model), or nothing.
  std::function<Status(const std::string& checkpoint)> describe = {};
};

struct LoopStage {
  torch::nn::Module* module = nullptr;
  Optimizer* optimizer = nullptr;
  DataParallel* parallel = nullptr;  // its processes all run the loop
  SavedWeights saved = {};
  std::string data_fingerprint = {};  // of what the steps read; a checkpoint of other data is refused
  std::vector<std::string> part_names = {};
  // Called once, after a resume is known; the next step to run.
  std::function<void(int64_t first_step)> start = {};
  std::function<StepLoss(int64_t step)> step = {};
  // Or none. Long ones ask the StopSignal, too: what is unfinished then is not reported.
  std::function<nlohmann::json()> validate = {};
  std::function<std::vector<SamplePrediction>()> predict = {};  // rank 0 only
  std::function<int64_t()> take_tokens = {};  // ids of this process since the last call; or none
  std::function<double()> take_waited = {};   // seconds spent waiting for data since the last call; or none
  // Or none: the samples that this process has seen and could not use since it began; whether those of all
  // processes are too many, an Error with which the loop saves and ends; and their list, at every save.
  std::function<data::SkipList::Counts()> left_out = {};
  std::function<Status(const data::SkipList::Counts& of_all)> check_left_out = {};
  std::function<void()> list_left_out = {};
};

enum class LoopEnd { kFinished, kStopped };

// Keeps the stage's directory to itself. Continues from the newest checkpoint if there is one; a finished
// stage only loads its weights. A loss or gradient that is not finite is an Error before anything moves: the
// newest checkpoint stays.
Result<LoopEnd> RunLoop(const LoopStage& stage, const LoopOptions& options, StopSignal& stop);

// Has the stage in `directory` done this many steps? A recipe that asks for more continues it.
bool StageFinished(const std::string& directory, int64_t steps);

}  // namespace mobilevlm::train
