// mobilevlm-train mini: the mini model from nothing, stage by stage, with resume.
#include "train/mini.h"

#include <fmt/format.h>

#include "commands.h"
#include "processes.h"

namespace mobilevlm::app {
namespace {

struct MiniFlags {
  std::string out, from;
  std::vector<std::string> stages;
  RecipeFlags recipe;
  std::string export_type = "f32";
  bool quick = false;
  train::ParallelOptions parallel;
  ProcessFlags job;
};

Status RunMini(MiniFlags& flags) {
  MVLM_ASSIGN(train::MiniPlan plan, train::MiniPlan::Read(flags.recipe.overrides(), flags.quick));
  plan.directory = flags.out;
  plan.from = flags.from;
  plan.export_type = flags.export_type;
  plan.parallel = flags.parallel;
  return RunInProcessGroup(flags.job, plan.parallel, [&] { return train::RunMini(plan, flags.stages); });
}

}  // namespace

void AddMiniCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "mini",
      "the mini model: tower, language model, alignment, multi-task\n\n"
      "Examples:\n"
      "  mobilevlm-train mini --out runs/mini            everything; run it again to continue\n"
      "  mobilevlm-train mini --out runs/mini --stage tower --threads 1\n"
      "  mobilevlm-train mini --out runs/mini --set multitask:schedule.steps=5000 --set run.seed=2\n"
      "  mobilevlm-train mini --out runs/ldp --from runs/mini --set mini.projector=ldpnet\n"
      "  scripts/launch --nproc-per-node 2 build/train/bin/mobilevlm-train mini --out runs/mini\n\n"
      "The recipes are configs/mini-*.toml; --set KEY=VALUE changes all stages, --set STAGE:KEY=VALUE one.\n"
      "Ctrl-C saves and leaves; a finished stage is skipped. DIR/report.html shows the run.");
  const auto flags = std::make_shared<MiniFlags>();
  command->add_option("--out", flags->out, "directory of the run")->required();
  command
      ->add_option("--stage", flags->stages,
                   "only this stage (may be repeated): tower, language, align, multitask, export")
      ->check(CLI::IsMember(train::MiniPlan::StageNames()));
  command->add_option("--from", flags->from,
                      "another run whose tower, language stage and cached features this one has");
  AddRecipeFlags(*command, flags->recipe);
  command->add_option("--export-type", flags->export_type, "of the weights in DIR/hf")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  AddProcessFlags(*command, flags->job, flags->parallel);
  command->add_flag("--quick", flags->quick, "tiny sizes and tens of steps");
  command->callback([flags, &status] { status = RunMini(*flags); });
}

}  // namespace mobilevlm::app
