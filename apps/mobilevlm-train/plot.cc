// mobilevlm-train plot: the learning curves of a run as a PNG file.
#include "commands.h"
#include "train/curves.h"

namespace mobilevlm::app {

void AddPlotCommand(CLI::App& app, Status& status) {
  struct Flags {
    std::string directory, out;
  };
  CLI::App* command = app.add_subcommand(
      "plot",
      "draw the learning curves of a run\n\nExample:\n  mobilevlm-train plot runs/mini -o curves.png");
  const auto flags = std::make_shared<Flags>();
  command->add_option("directory", flags->directory, "directory of the run")->required();
  command->add_option("-o,--out", flags->out, "PNG file to write")->required();
  command->callback([flags, &status] { status = train::PlotRun(flags->directory, flags->out); });
}

}  // namespace mobilevlm::app
