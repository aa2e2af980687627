#include "command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

namespace mobilevlm::app {
namespace {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    std::string text = app->get_description();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text + "\n\n";
  }
  std::string make_subcommand(const CLI::App* app) const override {
    const std::string text = app->get_description();
    return fmt::format("  {:<12} {}\n", app->get_name(), text.substr(0, text.find('\n')));
  }
};

}  // namespace

void ShowExamplesFirst(CLI::App& app) { app.formatter(std::make_shared<HelpFormatter>()); }

int ReportError(const CLI::App& app, const std::string& message) {
  // One line, whatever a library or a file name put into it.
  std::string line = message;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  fmt::print(stderr, "{}: {}\n", app.get_name(), line);
  return kExitError;
}

int RunCommandLine(CLI::App& app, int argc, char** argv, const Status& status) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    // CLI11 only says that a subcommand is missing, not that it does not know the one given.
    if (app.get_subcommands().empty() && !app.remaining().empty()) {
      const std::string unknown = app.remaining().front();
      return ReportError(app, fmt::format("unknown subcommand or flag {} (--help lists them)", unknown));
    }
    return ReportError(app, error.what());
  } catch (const std::bad_alloc&) {
    // What is large and foreseeable is refused before it is allocated; this is the rest.
    return ReportError(app, "the system has no more memory");
  } catch (const std::exception& error) {
    // Nothing here throws on purpose: this is what a library throws where nobody expected it.
    return ReportError(app, fmt::format("unexpected error: {}", error.what()));
  }
  return status ? 0 : ReportError(app, status.error().message);
}

CLI::Validator WholeNumber(uint64_t least, uint64_t most) {
  const auto check = [least, most](const std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (whole && value >= least && value <= most) return std::string();
    return fmt::format("wanted a whole number from {} to {}, found {}", least, most, text);
  };
  return {check, /*validator_desc=*/""};
}

}  // namespace mobilevlm::app
