// What the command lines of all executables share: help with the examples first, errors as one line, checks
// of flags.
//
// Exit codes: 0 success; 2 any Error, a wrong flag included, with one line on standard error.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "base/result.h"

namespace mobilevlm::app {

inline constexpr int kExitError = 2;

// Makes `app` and its subcommands show their whole description (one line, an empty line, examples) before
// the flags, and only its first line in the list of subcommands.
void ShowExamplesFirst(CLI::App& app);

// Prints "NAME: message" as one line on standard error, NAME being the app's; returns kExitError.
int ReportError(const CLI::App& app, const std::string& message);

// Parses the command line, which runs the callback of the subcommand it names; that one leaves how it ended
// in `status`. Returns the exit code.
int RunCommandLine(CLI::App& app, int argc, char** argv, const Status& status);

inline constexpr uint64_t kLargestInt = std::numeric_limits<int>::max();
inline constexpr uint64_t kLargestU64 = std::numeric_limits<uint64_t>::max();

// Accepts decimal numbers from `least` to `most` and nothing else. CLI11's own checks let "-1" wrap around
// where the flag is unsigned, and print their limits as floating point.
CLI::Validator WholeNumber(uint64_t least, uint64_t most = kLargestInt);

}  // namespace mobilevlm::app
