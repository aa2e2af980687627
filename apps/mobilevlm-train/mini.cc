// mobilevlm-train mini: the mini model from nothing, stage by stage, with resume.
#include <fmt/format.h>

#include "commands.h"
#include "processes.h"
#include "train/mini.h"

namespace mobilevlm::app {
namespace {

void AddStageFlags(CLI::App& command, const std::string& name, train::StageOptions& stage) {
  command.add_option("--" + name + "-steps", stage.steps, "optimizer steps of this stage")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command.add_option("--" + name + "-lr", stage.learning_rate, "peak learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--" + name + "-batch", stage.batch, "samples per step")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command.add_option("--" + name + "-warmup", stage.warmup, "warm-up steps")
      ->check(WholeNumber(0))
      ->capture_default_str();
}

}  // namespace

void AddMiniCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "mini",
      "the mini model: tower, language model, alignment, multi-task\n\n"
      "Examples:\n"
      "  mobilevlm-train mini --out runs/mini            everything; run it again to continue\n"
      "  mobilevlm-train mini --out runs/mini --stage tower --threads 1\n"
      "  scripts/launch --nproc-per-node 2 build/train/bin/mobilevlm-train mini --out runs/mini\n\n"
      "Ctrl-C saves and leaves; a finished stage is skipped.");
  auto plan = std::make_shared<train::MiniPlan>();
  auto quick = std::make_shared<bool>(false);
  auto stages = std::make_shared<std::vector<std::string>>();
  auto job = std::make_shared<ProcessFlags>();
  command->add_option("--out", plan->directory, "directory of the run")->required();
  command
      ->add_option("--stage", *stages,
                   "only this stage (may be repeated): tower, language, align, multitask, export")
      ->check(CLI::IsMember(train::MiniPlan::StageNames()));
  AddStageFlags(*command, "tower", plan->tower);
  AddStageFlags(*command, "language", plan->language);
  AddStageFlags(*command, "align", plan->align);
  AddStageFlags(*command, "multitask", plan->multitask);
  command->add_option("--projector-lr", plan->text.projector_rate, "of the align stage")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--cell-loss", plan->text.cell_loss,
                   "of the align stage: weight of the distance between visual tokens and the cells' words")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option(
          "--look-loss", plan->text.look_loss,
          "of language and multitask: weight of the attention that words of a question pay to the cells "
          "they name")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--dialogue-share", plan->text.dialogue_share,
                   "of scenes whose questions make one conversation; else each stands alone")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--caption-share", plan->text.caption_share, "of the language stage's samples")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--scenes", plan->text.scenes, "training scenes with cached features")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command->add_option("--rounds", plan->text.most_rounds, "most questions about one scene")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command->add_option("--questions", plan->text.questions_per_kind, "per kind, in validation")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command->add_option("--kind-weight", plan->text.kind_weights,
                      "how often a kind is asked, as KIND WEIGHT pairs");
  command->add_option("--precision", plan->precision, "of matrix products")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--export-type", plan->export_type, "of the weights in DIR/hf")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  command
      ->add_option("--threads", plan->parallel.threads,
                   "worker threads; 0: the CPUs, shared by the processes of this machine")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command
      ->add_option("--micro-batch", plan->micro_batch, "samples per forward pass; 0: as each stage likes it")
      ->check(WholeNumber(0));
  command->add_option("--loaders", plan->loaders, "threads that draw pictures")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command->add_option("--seed", plan->seed, "of weights and data")
      ->check(WholeNumber(0, kLargestU64))
      ->capture_default_str();
  command->add_option("--validate-every", plan->validate_every, "steps; 0: as each stage likes it")
      ->check(WholeNumber(0));
  command->add_option("--steps", plan->steps, "of every stage; 0: as each stage likes it")
      ->check(WholeNumber(0));
  command->add_option("--log-every", plan->log_every, "steps; 0: as each stage likes it")
      ->check(WholeNumber(0));
  command->add_option("--checkpoint-minutes", plan->checkpoint_minutes, "between saves")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddProcessFlags(*command, *job, plan->parallel);
  command->add_flag("--quick", *quick,
                    "tiny sizes and tens of steps; of the other flags, only those count that say where and "
                    "how it runs and logs, and --steps");
  command->callback([plan, stages, quick, job, &status] {
    train::MiniPlan chosen = *quick ? train::MiniPlan::Quick() : *plan;
    chosen.directory = plan->directory;
    chosen.parallel = plan->parallel;
    chosen.precision = plan->precision;
    chosen.steps = plan->steps;
    chosen.log_every = plan->log_every;
    status = RunInProcessGroup(*job, chosen.parallel, [&] { return train::RunMini(chosen, *stages); });
  });
}

}  // namespace mobilevlm::app
