#include "train/loop_checkpoint.h"

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "train/checkpoint.h"
#include "train/recipe/read_recipe.h"
#include "train/runlog/checkpoint_directory.h"

namespace mobilevlm::train {
namespace {

constexpr const char* kOptimizerFile = "/optimizer.safetensors";
constexpr const char* kRecipeFile = "/recipe.toml";
constexpr uint64_t kMaxRecipeBytes = 1 << 20;

// Of rank 0. `optimizer` comes from all processes while it is written.
Status SaveAsFirst(const LoopStage& stage, const LoopOptions& options, int64_t step,
                   const data::SkipList::Counts& left_out, GradientBuckets::StateStream& optimizer) {
  const Recipe& recipe = options.recipe;
  return SaveCheckpoint(options.directory(), step, recipe.run.keep, [&](const std::string& path) -> Status {
    const SavedWeights& saved = stage.saved;
    const NamedTensors weights = saved.trained_only ? TrainedTensors(*stage.module, saved.prefix)
                                                    : ModuleTensors(*stage.module, saved.prefix);
    MVLM_TRY(WriteTensors(path + "/" + saved.file, weights));
    if (saved.describe) MVLM_TRY(saved.describe(path));
    MVLM_TRY(WriteOptimizer(path + kOptimizerFile, optimizer));
    MVLM_TRY(WriteRecipe(path, recipe));
    return WriteState(path, {{"step", step},
                             {"finished", step >= recipe.schedule.steps},
                             {"stage", recipe.stage},
                             {"samples_seen", step * recipe.schedule.batch},
                             {"seed", recipe.run.seed},
                             {"data", stage.data_fingerprint},
                             {"seen", left_out.seen},
                             {"skipped", left_out.skipped},
                             {"processes", stage.parallel->processes().size()}});
  });
}

// What is different from the run that wrote the checkpoint is worth a line each; other data is an Error.
Status CompareRecipes(const LoopStage& stage, const LoopOptions& options, const std::string& checkpoint,
                      const nlohmann::json& state) {
  const std::string path = checkpoint + kRecipeFile;
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  MVLM_ASSIGN(const Recipe before, ParseRecipe(text, path));
  if (stage.parallel->processes().first()) {
    for (const std::string& line : Differences(before, options.recipe)) {
      fmt::print(stderr, "{}: {}\n", options.recipe.stage, line);
    }
  }
  if (state.value("data", "") == stage.data_fingerprint) return {};
  return Fail(
      "{}: was trained on other data or other stages than there are now; begin anew in another directory",
      checkpoint);
}

}  // namespace

Status WriteRecipe(const std::string& directory, const Recipe& recipe) {
  return WriteFileAtomically(directory + kRecipeFile, RecipeToml(recipe));
}

Status Save(const LoopStage& stage, const LoopOptions& options, int64_t step,
            const data::SkipList::Counts& left_out) {
  GradientBuckets::StateStream optimizer = stage.optimizer->State();
  Status saved;
  if (stage.parallel->processes().first()) saved = SaveAsFirst(stage, options, step, left_out, optimizer);
  optimizer.Finish();  // also after an error: the others take part
  return saved;
}

Result<Beginning> Resume(const LoopStage& stage, const LoopOptions& options) {
  const auto latest = LatestCheckpoint(options.directory());
  if (!latest) return Beginning{};
  const std::string& path = latest->path;
  MVLM_ASSIGN(const nlohmann::json state, ReadState(path));
  const auto step = state["step"].get<int64_t>();
  MVLM_TRY(CompareRecipes(stage, options, path, state));
  MVLM_ASSIGN(const TensorFile weights, ReadTensors(path + "/" + stage.saved.file));
  const Status loaded =
      LoadModule(*stage.module, weights.tensors, stage.saved.prefix, stage.saved.trained_only);
  if (!loaded) return Context(loaded.error(), "{}", path);
  MVLM_ASSIGN(const TensorFile optimizer, ReadTensors(path + kOptimizerFile));
  if (auto status = stage.optimizer->Load(optimizer.tensors, step); !status) {
    return Context(status.error(), "{}", path);
  }
  return Beginning{step, {state.value("seen", uint64_t{0}), state.value("skipped", uint64_t{0})}};
}

}  // namespace mobilevlm::train
