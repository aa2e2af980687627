// mobilevlm-train run: one stage from a recipe.
#include "train/run.h"

#include <fmt/format.h>

#include "commands.h"
#include "processes.h"
#include "train/recipe/read_recipe.h"

namespace mobilevlm::app {
namespace {

struct RunFlags {
  std::string name, out;
  RecipeFlags recipe;
  bool show = false;
  train::ParallelOptions parallel;
  ProcessFlags job;
};

Status Run(RunFlags& flags) {
  MVLM_ASSIGN(const std::string path, train::FindRecipe(flags.name));
  MVLM_ASSIGN(const train::Recipe recipe, train::ReadRecipe(path, flags.recipe.overrides()));
  if (flags.show) {
    fmt::print("{}", train::RecipeToml(recipe));
    return {};
  }
  if (flags.out.empty()) return Fail("run: wanted --out DIR");
  return RunInProcessGroup(flags.job, flags.parallel,
                           [&] { return train::RunRecipe(recipe, flags.out, flags.parallel); });
}

}  // namespace

void AddRunCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "run",
      "train one stage from a recipe\n\n"
      "Examples:\n"
      "  mobilevlm-train run lora --out runs/mine --set model.start=MobileVLM_V2-1.7B \\\n"
      "      --set data.annotations=mine.json --set data.images=pictures\n"
      "  mobilevlm-train run my-recipe.toml --out runs/mine --set schedule.epochs=3\n"
      "  mobilevlm-train run lora --set model.start=M --set data.annotations=a.json --show\n\n"
      "RECIPE is a .toml file or the name of a shipped one (configs/): pretrain, multitask, lora, "
      "mobilellama-sft,\n"
      "v1-pretrain, v1-finetune. Ctrl-C saves and leaves; the same command continues. DIR/STAGE has the\n"
      "checkpoints (latest is the newest), log.jsonl and TensorBoard events; DIR/report.html shows them.");
  const auto flags = std::make_shared<RunFlags>();
  command->add_option("RECIPE", flags->name, "what to train")->required();
  command->add_option("--out", flags->out, "directory of the run");
  AddRecipeFlags(*command, flags->recipe);
  AddProcessFlags(*command, flags->job, flags->parallel);
  command->add_flag("--show", flags->show, "print every key as it would be run, and run nothing");
  command->callback([flags, &status] { status = Run(*flags); });
}

}  // namespace mobilevlm::app
