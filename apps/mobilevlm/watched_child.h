// A program that works for minutes while this one waits: its words go to a file, the last of them are shown
// now and then.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm::app {

// Runs `arguments` (the first is the program's path) to the end. What it prints is appended to `log`; its
// last line is repeated on standard error behind `label`, every fifteen seconds at most. It is told to stop
// (SIGTERM) at Ctrl-C, and by the kernel if this process dies. An Error if it fails, with its last line, and
// after Ctrl-C, also if the program then ends in order.
Status RunWatched(const std::vector<std::string>& arguments, const std::string& log,
                  const std::string& label);

}  // namespace mobilevlm::app
