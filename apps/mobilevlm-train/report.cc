// mobilevlm-train report: a run as one HTML page.
#include "train/runlog/report.h"

#include "commands.h"

namespace mobilevlm::app {

void AddReportCommand(CLI::App& app, Status& status) {
  struct Flags {
    std::string directory, out;
  };
  CLI::App* command =
      app.add_subcommand("report",
                         "a run as one HTML page: curves, numbers, answers with their pictures\n\n"
                         "Example:\n"
                         "  mobilevlm-train report runs/mini -o report.html");
  const auto flags = std::make_shared<Flags>();
  command->add_option("directory", flags->directory, "directory of the run, or of one of its stages")
      ->required();
  command->add_option("-o,--out", flags->out, "HTML file to write")->required();
  command->callback([flags, &status] { status = train::WriteReport(flags->directory, flags->out); });
}

}  // namespace mobilevlm::app
