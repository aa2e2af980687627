// The mini world asked of one model: what the experiments on answers share.
#pragma once

#include <string>
#include <vector>

#include "eval/report/plot.h"
#include "eval/report/run_summary.h"
#include "eval/tasks/task.h"
#include "mobilevlm/mobilevlm.h"
#include "world/world.h"

namespace mobilevlm::app {

struct WorldAnswers {
  eval::Benchmark benchmark;
  eval::Answers answers;
  eval::ScoreSheet sheet;
  eval::RunSummary run;
};
// Answers go to `directory` and are not asked again if they are there.
Result<WorldAnswers> AskWorld(const LoadOptions& load, const world::WorldOptions& options,
                              const std::vector<std::string>& kinds, int per_kind, bool confidence,
                              const std::string& directory);

// One score a question of the kind ("": of all).
std::vector<double> ScoresOf(const WorldAnswers& asked, const std::string& kind);
// Their mean in per cent with its 95 % interval.
eval::PlotValue Accuracy(const WorldAnswers& asked, const std::string& kind);

// The bundled model where none is named.
Result<LoadOptions> LoadWithDefault(const LoadOptions& load);
// "mini/text.gguf".
std::string DescribeModel(const LoadOptions& load);

}  // namespace mobilevlm::app
