// What kind of question a sample asks, from its wording: the families of the paper's training mix.
#pragma once

#include <string_view>

#include "data/sample.h"

namespace mobilevlm::data {

// "caption", "choice", "yes or no", "count", "read text", "colour", "where", "short answer", "dialogue" (more
// than two rounds), "long answer"; the first that fits. The sample's own "kind" if it has one.
std::string_view QuestionKind(const Sample& sample);

}  // namespace mobilevlm::data
