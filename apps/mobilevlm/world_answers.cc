#include "world_answers.h"

#include <filesystem>
#include <memory>

#include "commands.h"
#include "eval/runner.h"
#include "eval/statistics.h"
#include "eval/tasks/world.h"
#include "eval_task.h"

namespace mobilevlm::app {

Result<WorldAnswers> AskWorld(const LoadOptions& load, const world::WorldOptions& options,
                              const std::vector<std::string>& kinds, int per_kind, bool confidence,
                              const std::string& directory) {
  MVLM_ASSIGN(world::World world, world::World::Create(options));
  const auto shared = std::make_shared<const world::World>(std::move(world));
  WorldAnswers result;
  result.benchmark =
      eval::WorldBenchmark(shared, world::Split::kTest, kinds, static_cast<uint64_t>(per_kind));
  // Part of run.json: answers about other drawings are another run.
  if (!options.object_drawings.empty()) result.benchmark.variant += ", drawings " + options.object_drawings;
  if (options.other_fonts) result.benchmark.variant += ", other fonts";
  if (options.dotted_background) result.benchmark.variant += ", dots behind";
  EvalTaskFlags flags;
  flags.load = load;
  flags.confidence = confidence;
  flags.out = directory;
  MVLM_TRY(AskBenchmark(result.benchmark, flags, directory, result.run));
  MVLM_ASSIGN(result.answers, eval::ReadAnswers(directory + "/answers.jsonl", result.benchmark));
  result.sheet = eval::FindTask("world").value()->score(result.benchmark, result.answers);
  return result;
}

std::vector<double> ScoresOf(const WorldAnswers& asked, const std::string& kind) {
  return eval::ScoresWhere(asked.benchmark, asked.sheet, [&](const eval::Question& question) {
    return kind.empty() || question.subset == kind;
  });
}

eval::PlotValue Accuracy(const WorldAnswers& asked, const std::string& kind) {
  const eval::Figure figure = eval::MeanFigure(kind, ScoresOf(asked, kind));
  return {figure.value, figure.interval};
}

Result<LoadOptions> LoadWithDefault(const LoadOptions& load) {
  LoadOptions named = load;
  MVLM_TRY(UseBundledModelIfNone(named));
  return named;
}

std::string DescribeModel(const LoadOptions& load) {
  const std::filesystem::path path(load.text);
  return path.parent_path().filename().string() + "/" + path.filename().string();
}

}  // namespace mobilevlm::app
