// Where mobilevlm-train is, the program that links libtorch.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm::app {

// Beside this executable, in the train build of the same source tree, or in a directory of PATH. The Error
// begins with `what` and says how to build it.
Result<std::string> FindTrainer(const std::string& what);

}  // namespace mobilevlm::app
