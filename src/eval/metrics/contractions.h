// The table of contractions that all VQA normalisers share.
#pragma once

#include <string_view>

namespace mobilevlm::eval {

// "dont" -> "don't"; a word that is not in the table is returned as it is.
std::string_view Uncontract(std::string_view word);

}  // namespace mobilevlm::eval
