// The executable: parses the command line, runs one subcommand, reports how it ended.
//
// Exit codes: those of command_line.h, and 130 after Ctrl-C.
#include <cstdio>

#include "commands.h"
#if defined(MOBILEVLM_DATA)
#include "data_command.h"
#endif

namespace mobilevlm::app {
namespace {

constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells report it

int Main(int argc, char** argv) {
  CLI::App app(
      "Questions about pictures, answered by MobileVLM V2 models on this machine's CPU\n\n"
      "Examples:\n"
      "  mobilevlm run --image scene.png -p 'What is this?'\n"
      "  mobilevlm run -m text.gguf --mmproj mmproj.gguf --image photo.jpg -p 'Describe the picture.'\n"
      "  mobilevlm chat --image scene.png\n"
      "  mobilevlm SUBCOMMAND --help",
      "mobilevlm");
  ShowExamplesFirst(app);
  app.set_version_flag("--version", fmt::format("mobilevlm {}", Version()));
  app.require_subcommand(1);

  Status status;
  AddRunCommand(app, status);
  AddChatCommand(app, status);
  AddInspectCommand(app, status);
  AddTokenizeCommand(app, status);
  AddTraceCommand(app, status);
  AddConvertCommand(app, status);
  AddQuantizeCommand(app, status);
  AddImatrixCommand(app, status);
  AddSynthCommand(app, status);
  AddBenchCommand(app, status);
  AddTrainCommand(app, status);
#if defined(MOBILEVLM_SERVE)
  AddServeCommand(app, status);
#endif
  AddEvalCommand(app, status);
#if defined(MOBILEVLM_WORLD)
  AddExperimentCommand(app, status);
  AddWorldCommand(app, status);
#endif
#if defined(MOBILEVLM_DATA)
  AddDataCommand(app, status);
#endif
  int code = RunCommandLine(app, argc, argv, status);
  if (code == 0 && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)) {
    code = ReportError(app, "cannot write to standard output");
  }
  return Interrupted() ? kExitInterrupted : code;
}

}  // namespace
}  // namespace mobilevlm::app

int main(int argc, char** argv) { return mobilevlm::app::Main(argc, argv); }
