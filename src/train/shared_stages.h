// A run that begins where another one's language stage ended: links to that run's tower, language stage,
// tokenizer and cached features stand in its directory, so that many short runs share one stage 0.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm::train {

// Makes the links in `directory`, which is made. An Error if a stage of `from` is not finished, or if
// `directory` has one of its own.
Status ShareStages(const std::string& from, const std::string& directory);

// Is this stage's directory a link to another run's, which is not to be trained from here?
bool IsShared(const std::string& stage_directory);

}  // namespace mobilevlm::train
