// The executable: parses the command line, runs one subcommand, reports how it ended.
//
// Exit codes: 0 success; 2 any Error, with one line on standard error; 130 Ctrl-C.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "commands.h"

namespace mobilevlm::app {
namespace {

constexpr int kExitError = 2;
constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells report it

// --help with the examples first; in the list of subcommands only each one's first line.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    std::string text = app->get_description() + "\n";
    if (!app->get_footer().empty()) text += "\n" + app->get_footer() + "\n";
    return text + "\n";
  }
  std::string make_footer(const CLI::App*) const override { return {}; }
  std::string make_subcommand(const CLI::App* app) const override {
    const std::string text = app->get_description();
    return fmt::format("  {:<12} {}\n", app->get_name(), text.substr(0, text.find('\n')));
  }
};

int Report(const std::string& message) {
  // One line, whatever a library or a file name put into it.
  std::string line = message;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  fmt::print(stderr, "mobilevlm: {}\n", line);
  return kExitError;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Questions about pictures, answered by MobileVLM V2 models on this machine's CPU\n\n"
      "Examples:\n"
      "  mobilevlm run --image scene.png -p 'What is this?'\n"
      "  mobilevlm run -m text.gguf --mmproj mmproj.gguf --image photo.jpg -p 'Describe the picture.'\n"
      "  mobilevlm chat --image scene.png\n"
      "  mobilevlm SUBCOMMAND --help",
      "mobilevlm");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", fmt::format("mobilevlm {}", Version()));
  app.require_subcommand(1);

  Status status;
  AddRunCommand(app, status);
  AddChatCommand(app, status);
  AddEvalCommand(app, status);
  AddInspectCommand(app, status);
  AddTokenizeCommand(app, status);
  AddTraceCommand(app, status);
  AddConvertCommand(app, status);
  AddQuantizeCommand(app, status);
  AddImatrixCommand(app, status);
  AddWorldCommand(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    // CLI11 only says that a subcommand is missing, not that it does not know the one given.
    if (app.get_subcommands().empty() && !app.remaining().empty()) {
      return Report(
          fmt::format("unknown subcommand or flag {} (--help lists them)", app.remaining().front()));
    }
    return Report(error.what());
  }
  if (!status) {
    const int code = Report(status.error().message);
    return Interrupted() ? kExitInterrupted : code;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return Report("cannot write to standard output");
  return Interrupted() ? kExitInterrupted : 0;
}

}  // namespace
}  // namespace mobilevlm::app

int main(int argc, char** argv) { return mobilevlm::app::Main(argc, argv); }
