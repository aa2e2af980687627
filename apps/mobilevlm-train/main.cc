// mobilevlm-train: trains MobileVLM models.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "commands.h"
#include "train/blas_kernels.h"
#include "train/cpu/sgemm.h"

namespace {

// OpenBLAS reads its environment while it is loaded, so the program starts itself anew. If that fails it goes
// on, slower.
void RestartWithBetterBlas(char** argv) {
  const std::string kernels = mobilevlm::train::BetterBlasKernels();
  if (kernels.empty()) return;
  ::setenv("OPENBLAS_CORETYPE", kernels.c_str(), 1);
  ::execv("/proc/self/exe", argv);
}

}  // namespace

int main(int argc, char** argv) {
  RestartWithBetterBlas(argv);
  static_cast<void>(mobilevlm::train::UsedSgemm());  // links the product that libtorch is to call
  CLI::App app(
      "Trains MobileVLM V2 models\n\n"
      "Examples:\n"
      "  mobilevlm-train run lora --out runs/mine --set model.start=MobileVLM_V2-1.7B \\\n"
      "      --set data.annotations=mine.json --set data.images=pictures\n"
      "  mobilevlm-train mini --out runs/mini\n"
      "  mobilevlm-train report runs/mini -o report.html\n"
      "  mobilevlm-train score runs/mini\n"
      "  mobilevlm-train plot runs/mini -o curves.png\n"
      "  mobilevlm-train plan --model 3b --nodes 1,4,16",
      "mobilevlm-train");
  mobilevlm::app::ShowExamplesFirst(app);
  app.require_subcommand(1);
  mobilevlm::Status status;
  mobilevlm::app::AddRunCommand(app, status);
  mobilevlm::app::AddMiniCommand(app, status);
  mobilevlm::app::AddScoreCommand(app, status);
  mobilevlm::app::AddPlotCommand(app, status);
  mobilevlm::app::AddPlanCommand(app, status);
  mobilevlm::app::AddNetworkCommand(app, status);
  mobilevlm::app::AddReportCommand(app, status);
  return mobilevlm::app::RunCommandLine(app, argc, argv, status);
}
