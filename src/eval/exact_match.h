// Exact match after the one normalisation that short generated answers need: outer white space and one
// trailing full stop are dropped, letters are lower-cased (as LLaVA's GQA script does). Pure function.
#pragma once

#include <string>
#include <string_view>

namespace mobilevlm::eval {

std::string NormaliseAnswer(std::string_view text);
bool ExactMatch(std::string_view prediction, std::string_view reference);

}  // namespace mobilevlm::eval
