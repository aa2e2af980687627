// Runs a program and watches it: for what can only be measured from outside (time from the start of a
// process, memory of a process that does nothing else).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm::bench {

struct ProcessResult {
  std::string output;         // standard output
  double first_output_s = 0;  // from before the start to the first byte of it
};

// `arguments[0]` is the path of the program; the environment is ours. An Error if it cannot be started,
// fails, or prints nothing; it carries the last line of the program's standard error.
Result<ProcessResult> RunProcess(const std::vector<std::string>& arguments);

// The program that is running now.
Result<std::string> OwnExecutable();

}  // namespace mobilevlm::bench
