// mobilevlm-train: trains MobileVLM models.
#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Trains MobileVLM V2 models\n\n"
      "Examples:\n"
      "  mobilevlm-train mini --out runs/mini\n"
      "  mobilevlm-train plot runs/mini -o curves.png",
      "mobilevlm-train");
  mobilevlm::app::ShowExamplesFirst(app);
  app.require_subcommand(1);
  mobilevlm::Status status;
  mobilevlm::app::AddMiniCommand(app, status);
  mobilevlm::app::AddPlotCommand(app, status);
  return mobilevlm::app::RunCommandLine(app, argc, argv, status);
}
