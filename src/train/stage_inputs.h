// What a stage of the mini model with pictures was made from, so that none is kept when something before it
// has changed.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm::train {

// A hash of the weights of the tower and of the stage `from`, as the newest checkpoints in RUN/tower and
// RUN/from hold them; an Error where there is none. A checkpoint's state.json has it under "data".
Result<std::string> StageInputs(const std::string& run_directory, const std::string& from);

// An Error if the newest checkpoint of RUN/stage was made from other weights than there are now. Without a
// checkpoint there is nothing to say.
Status CheckInputs(const std::string& run_directory, const std::string& stage, const std::string& from);

}  // namespace mobilevlm::train
