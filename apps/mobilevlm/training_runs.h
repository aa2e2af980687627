// Training runs that an experiment compares. Every run begins with the same tower, language stage, tokenizer
// and cached features (stage 0), sees the same number of samples and differs from the reference in what its
// Variant sets. Runs are made by mobilevlm-train, one after another, and scored by it on the test split.
//
// DIR/base is stage 0 unless another run is named; DIR/runs/NAME-sSEED is one run, with the trainer's log,
// what it was told (variant.txt) and score.json. What is there already is not made again; what was begun
// continues.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm::app {

struct TrainingFlags {
  std::string base;                   // a run of `mobilevlm train mini`; empty: DIR/base
  std::string work;                   // DIR; empty: OUT/work
  int align_steps = 0;                // 0: the default
  int multitask_steps = 0;            // 0: the default
  int scenes = 0;                     // 0: the default
  int seeds = 3;                      // 1, 2, ..., each a run of every variant
  int threads = 0;                    // of the trainer; 0: one per CPU
  std::vector<std::string> variants;  // names; empty: all
  std::vector<std::string> set;       // [STAGE:]KEY=VALUE for every run and the base
  bool quick = false;                 // tiny sizes and a few steps: to see that it runs
};
void AddTrainingFlags(CLI::App& command, TrainingFlags& flags);

// What every run may use.
struct TrainingBudget {
  int align_steps, align_batch, multitask_steps, multitask_batch, scenes;
  static TrainingBudget Of(const TrainingFlags& flags);
  int samples() const { return align_steps * align_batch + multitask_steps * multitask_batch; }
};

// What is different from the reference.
struct Variant {
  std::string name;                   // of its directory and of --variants
  std::string description;            // in tables
  std::vector<std::string> set = {};  // [STAGE:]KEY=VALUE
  int scenes_divisor = 1;             // 4: a quarter of the scenes
  bool one_stage = false;             // multitask alone, for the samples of both
};

// The score of one run, question by question in the same order for all runs.
struct RunScore {
  int seed = 0;
  int64_t samples = 0, tokens = 0, projector_parameters = 0;
  std::vector<std::string> kinds;
  std::vector<std::vector<double>> right, blank;  // [kinds][questions], 0 or 1

  double accuracy() const;  // over all questions
  double blank_accuracy() const;
};

class TrainingRuns {
 public:
  // Trains stage 0 if that is not done. `label` begins the lines of progress. One process at a time may work
  // in DIR: a second one waits a little for the first and is refused.
  static Result<TrainingRuns> Open(const TrainingFlags& flags, const std::string& out,
                                   const std::string& label);

  // Trains and scores; `made` tells whether there was anything to do.
  Result<RunScore> Get(const Variant& variant, int seed, int per_kind, const std::string& label,
                       bool* made) const;
  // The run as a Hugging Face directory, which is returned. Only after Get, only with an official projector.
  Result<std::string> Export(const Variant& variant, int seed, const std::string& label) const;
  std::string Directory(const Variant& variant, int seed) const;

  const TrainingBudget& budget() const { return budget_; }
  const std::string& base_hash() const { return base_hash_; }  // of stage 0's weights
  const std::string& work() const { return work_; }

 private:
  class Lock;

  Status TrainBase(const std::string& label);
  Status CheckSettings(const std::string& directory, const std::string& settings) const;
  std::vector<std::string> Settings(const Variant& variant, int seed) const;
  std::vector<std::string> Command(const Variant& variant, int seed) const;

  TrainingFlags flags_;
  TrainingBudget budget_{};
  std::string trainer_, work_, base_, base_hash_;
  std::shared_ptr<const Lock> lock_;
};

}  // namespace mobilevlm::app
