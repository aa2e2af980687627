#include "eval/exact_match.h"

namespace mobilevlm::eval {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v";

std::string_view Strip(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

std::string NormaliseAnswer(std::string_view text) {
  text = Strip(text);
  if (text.ends_with('.')) text = Strip(text.substr(0, text.size() - 1));
  std::string normalised(text);
  for (char& c : normalised) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normalised;
}

bool ExactMatch(std::string_view prediction, std::string_view reference) {
  return NormaliseAnswer(prediction) == NormaliseAnswer(reference);
}

}  // namespace mobilevlm::eval
