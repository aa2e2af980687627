// mobilevlm-train: trains MobileVLM models.
#include <fmt/format.h>

#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Trains MobileVLM V2 models.\n\nExample:\n  mobilevlm-train mini --out runs/mini\n"};
  app.require_subcommand(1);
  mobilevlm::Status status;
  mobilevlm::app::AddMiniCommand(app, status);
  mobilevlm::app::AddPlotCommand(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!status) {
    fmt::print(stderr, "mobilevlm-train: {}\n", status.error().message);
    return 2;
  }
  return 0;
}
