// MmBenchChoice of labels.h: the two rules that need no judge model.
#include <algorithm>
#include <array>
#include <optional>

#include "eval/metrics/labels.h"
#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

using Words = std::vector<std::string>;

bool Has(const Words& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The only letter of `letters` that stands among the words as prefix + letter + suffix; 0 if none or several
// do.
char OnlyLetter(const Words& words, std::string_view letters, std::string_view prefix,
                std::string_view suffix) {
  char only = 0;
  for (const char letter : letters) {
    if (!Has(words, std::string(prefix) + letter + std::string(suffix))) continue;
    if (only != 0) return 0;
    only = letter;
  }
  return only;
}

std::string LettersOf(const Options& options) {
  std::string letters;
  for (const auto& [letter, text] : options) letters += letter;
  return letters;
}

// The only option whose text the answer contains.
int ChoiceByText(std::string_view text, const Options& options) {
  const std::string answer = Lower(text);
  int choice = kNoChoice;
  for (const auto& [letter, option] : options) {
    if (answer.find(Lower(option)) == std::string::npos) continue;
    if (choice != kNoChoice) return kNoChoice;
    choice = letter - 'A';
  }
  return choice;
}

int OpenCompassChoice(std::string_view text, const Options& options) {
  constexpr std::string_view kLetters = "ABCDE";
  const Words words = SplitWords(text);
  const char bare = OnlyLetter(words, kLetters, "", "");
  // An A among more than three words may be an article.
  if (bare != 0 && !(Has(words, "A") && words.size() > 3)) return bare - 'A';
  constexpr std::array<std::array<std::string_view, 2>, 12> kForms = {{{"", "."},
                                                                       {"", ","},
                                                                       {"", ":"},
                                                                       {"", ")"},
                                                                       {"", ")."},
                                                                       {"(", ")"},
                                                                       {"(", ")."},
                                                                       {":", ""},
                                                                       {":", ","},
                                                                       {":", "."},
                                                                       {":", ")"},
                                                                       {":", ")."}}};
  for (const auto& [prefix, suffix] : kForms) {
    if (const char letter = OnlyLetter(words, kLetters, prefix, suffix); letter != 0) return letter - 'A';
  }
  return ChoiceByText(text, options);
}

bool StartsWith(std::string_view text, size_t at, std::string_view word) {
  return text.substr(at, word.size()) == word;
}

size_t SkipSpace(const std::string& text, size_t at) {
  while (at < text.size() && SplitWords(text.substr(at, 1)).empty()) ++at;
  return at;
}

// The first "answer is X" with any number of stars before X, whatever the case.
char LetterOfPhrase(std::string_view answer) {
  const std::string text = Lower(answer);
  for (size_t at = 0; (at = text.find("answer", at)) != std::string::npos; ++at) {
    size_t next = SkipSpace(text, at + 6);
    if (next == at + 6 || !StartsWith(text, next, "is")) continue;
    const size_t space = next + 2;
    next = SkipSpace(text, space);
    if (next == space) continue;
    while (next < text.size() && text[next] == '*') ++next;
    if (next < text.size() && text[next] >= 'a' && text[next] <= 'd')
      return static_cast<char>(text[next] - 'a' + 'A');
  }
  return 0;
}

int VlmEvalKitChoice(std::string_view text, const Options& options) {
  constexpr int kRefused = 'Z' - 'A';
  constexpr std::string_view kRefusals[] = {
      "Sorry, I can't help with images of people yet.", "I can't process this file.",
      "I'm sorry, but without the image provided", "Cannot determine the answer"};
  const auto is_in_text = [&](std::string_view phrase) {
    return text.find(phrase) != std::string_view::npos;
  };
  if (std::any_of(std::begin(kRefusals), std::end(kRefusals), is_in_text)) return kRefused;

  const std::string letters = LettersOf(options);
  std::string plain(text);
  constexpr std::string_view kMarks = ".()[],:;!*#{}";
  std::replace_if(
      plain.begin(), plain.end(), [&](char c) { return kMarks.find(c) != std::string_view::npos; }, ' ');
  const Words words = SplitWords(plain);
  const auto count = std::count_if(letters.begin(), letters.end(),
                                   [&](char letter) { return Has(words, std::string(1, letter)); });
  if (count == 1) {
    const char letter = OnlyLetter(words, letters, "", "");
    const auto place = std::find(words.begin(), words.end(), std::string(1, letter));
    if (words.end() - place < 5) return letter - 'A';  // among the last four words
  } else if (count == 0 && Has(words, "Z")) {
    return kRefused;
  }
  if (const char letter = LetterOfPhrase(text); letter != 0 && letters.find(letter) != std::string::npos) {
    return letter - 'A';
  }
  size_t length = 0;
  for (const auto& [letter, option] : options) length += CodePoints(option).size();
  return CodePoints(text).size() > 2 * length ? kNoChoice : ChoiceByText(text, options);
}

}  // namespace

int MmBenchChoice(std::string_view text, const Options& options, MmBenchRule rule) {
  return rule == MmBenchRule::kVlmEvalKit ? VlmEvalKitChoice(text, options)
                                          : OpenCompassChoice(text, options);
}

}  // namespace mobilevlm::eval
