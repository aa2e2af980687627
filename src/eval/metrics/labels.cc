#include "eval/metrics/labels.h"

#include <algorithm>

#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

YesNo LabelOfWord(std::string_view text) {
  // Both words are ASCII, so four bytes of what could match are four characters.
  const std::string prefix = ToUtf8(CodePoints(text).substr(0, 4));
  if (prefix.find("yes") != std::string::npos) return YesNo::kYes;
  if (prefix.find("no") != std::string::npos) return YesNo::kNo;
  return YesNo::kOther;
}

bool IsLetter(char c, char last) { return c >= 'A' && c <= last; }

}  // namespace

YesNo PopeLabel(std::string_view text) {
  std::string sentence = Replace(text.substr(0, text.find('.')), ",", "");
  sentence += ' ';
  for (size_t begin = 0, end; (end = sentence.find(' ', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view word = std::string_view(sentence).substr(begin, end - begin);
    if (word == "No" || word == "no" || word == "not") return YesNo::kNo;
  }
  return YesNo::kYes;
}

bool PopeMatchLmms(std::string_view text, std::string_view word) { return Strip(Lower(text)) == word; }

YesNo MmeLabel(std::string_view text) { return LabelOfWord(Lower(text)); }

YesNo MmeLabelLmms(std::string_view text) {
  const std::string answer = Replace(Strip(Lower(text)), ".", "");
  if (answer == "y") return YesNo::kYes;
  if (answer == "n") return YesNo::kNo;
  return LabelOfWord(answer);
}

int ScienceQaChoice(std::string_view text, int choices) {
  constexpr char kLast = 'E';
  constexpr std::string_view kPhrase = "The answer is ";
  char letter = 0;
  if (text.size() == 1 && IsLetter(text[0], kLast)) {
    letter = text[0];
  } else if (text.size() >= 3 && IsLetter(text[0], kLast) && text.substr(1, 2) == ". ") {
    letter = text[0];
  } else {
    int matches = 0;
    for (size_t at = 0; (at = text.find(kPhrase, at)) != std::string_view::npos;) {
      const size_t place = at + kPhrase.size();
      // The regular expression's final dot wants one more character, of any kind but the end of a line.
      const bool match = place + 1 < text.size() && IsLetter(text[place], 'Z') && text[place + 1] != '\n';
      if (match) letter = text[place];
      matches += match;
      at = match ? place + 2 : at + 1;
    }
    if (matches != 1) return kNoChoice;
  }
  return letter - 'A' < choices && letter <= kLast ? letter - 'A' : kNoChoice;
}

bool ScienceQaMatchLmms(std::string_view text, std::string_view letter) {
  const std::string answer = Strip(text);
  if (Lower(answer) == Lower(letter)) return true;
  return answer.size() >= 2 && IsLetter(answer[0], 'Z') && answer[1] == '.' &&
         std::string_view(answer).substr(0, 1) == letter;
}

}  // namespace mobilevlm::eval
