// mobilevlm eval miniature: small copies of the benchmarks' layouts, to try the whole road without the real
// data.
#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "miniature/miniature.h"

namespace mobilevlm::app {
namespace {

struct MiniatureFlags {
  std::string out, task;
  int rows = 4;
};

Status RunMiniature(const MiniatureFlags& flags) {
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  if (!flags.task.empty())
    return miniature::Write(world, flags.task, flags.rows, flags.out + "/" + flags.task);
  for (const std::string_view name : miniature::Names()) {
    MVLM_TRY(miniature::Write(world, name, flags.rows, flags.out + "/" + std::string(name)));
  }
  return {};
}

}  // namespace

void AddEvalMiniatureCommand(CLI::App& eval, Status& status) {
  CLI::App* command = eval.add_subcommand(
      "miniature",
      "Write small copies of the benchmarks' layouts, with mini-world pictures\n\nExample:\n"
      "  mobilevlm eval miniature --out miniatures\n"
      "  mobilevlm eval pope --data miniatures/pope");
  const auto flags = std::make_shared<MiniatureFlags>();
  command->add_option("--out", flags->out, "Directory; one below it for each benchmark")->required();
  command->add_option("--task", flags->task, "Only this benchmark");
  command->add_option("--rows", flags->rows, "Pictures for each part of a benchmark")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command->callback([flags, &status] { status = RunMiniature(*flags); });
}

}  // namespace mobilevlm::app
