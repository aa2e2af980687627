// The mini model: its four stages from their recipes, in order, and the export.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/mini_config.h"

namespace mobilevlm::train {

struct MiniPlan {
  static const std::vector<std::string>& StageNames();  // tower, language, align, multitask, export

  // The shipped recipes mini-tower, ..., with the overrides: "KEY=VALUE" for all stages, "STAGE:KEY=VALUE"
  // for one. `quick`: tiny sizes and tens of steps, half a minute in all, only to see that every stage learns
  // something.
  static Result<MiniPlan> Read(const std::vector<std::string>& overrides, bool quick);

  std::string directory;
  std::string from = {};                  // another run whose tower, language stage and features this one has
  std::map<std::string, Recipe> recipes;  // by stage
  ParallelOptions parallel;               // threads, average and precision are the recipes'
  std::string export_type = "f32";        // of the exported weights: f32, f16, bf16
};

// Runs the named stages (none named: all) that are not finished yet. With plan.from, tower and language are
// that run's (shared_stages.h). A stop by signal is not an error. Of
// several processes (plan.parallel.processes) every one calls it, with the same plan; the run's directory is
// on storage that all of them see.
Status RunMini(const MiniPlan& plan, const std::vector<std::string>& stages);

}  // namespace mobilevlm::train
