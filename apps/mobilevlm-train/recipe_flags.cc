#include <memory>

#include "commands.h"

namespace mobilevlm::app {

std::vector<std::string> RecipeFlags::overrides() const {
  std::vector<std::string> all = assignments;
  for (const auto& [key, value] : short_forms) {
    if (!value.empty()) all.push_back(key + "=" + value);
  }
  return all;
}

void AddRecipeFlags(CLI::App& command, RecipeFlags& flags) {
  command.add_option("--set", flags.assignments, "KEY=VALUE instead of the recipe's (may be repeated)")
      ->allow_extra_args(false);
  const auto short_form = [&](const std::string& flag, const std::string& key, const std::string& help) {
    return command.add_option(flag, flags.short_forms[key], help + "; short for --set " + key + "=...");
  };
  short_form("--threads", "run.threads", "worker threads, 0: one per CPU")->check(WholeNumber(0, 1024));
  short_form("--steps", "schedule.steps", "optimizer steps")->check(WholeNumber(1));
  short_form("--micro-batch", "schedule.micro_batch", "samples per forward pass")->check(WholeNumber(1));
  short_form("--precision", "model.products", "of matrix products")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16"}));
  short_form("--log-every", "run.log_every", "steps between log lines")->check(WholeNumber(1));
  short_form("--save-every", "run.save_every", "steps between checkpoints, 0: by the clock only")
      ->check(WholeNumber(0));
  short_form("--keep", "run.keep", "newest checkpoints that are kept")->check(WholeNumber(1));
  short_form(
      "--loss-average", "schedule.loss_average",
      "token: every supervised token of a step counts the same; rank: every micro-batch does, as between the "
      "GPUs of the paper's code")
      ->check(CLI::IsMember({"token", "rank"}));
}

}  // namespace mobilevlm::app
