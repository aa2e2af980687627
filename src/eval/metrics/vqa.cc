#include "eval/metrics/vqa.h"

#include <algorithm>
#include <array>
#include <vector>

#include "eval/metrics/contractions.h"
#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

enum class PeriodRule { kNotBeforeDigit, kNotBesideDigit };

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool HasCommaBetweenDigits(std::string_view text) {
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == ',' && IsDigit(text[i - 1]) && IsDigit(text[i + 1])) return true;
  }
  return false;
}

std::string StripPeriods(std::string_view text, PeriodRule rule) {
  // The official code passes a flag (32) where the most replacements are meant.
  constexpr int kMost = 32;
  std::string stripped;
  int removed = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool before = i + 1 < text.size() && IsDigit(text[i + 1]);
    const bool behind = rule == PeriodRule::kNotBesideDigit && i > 0 && IsDigit(text[i - 1]);
    if (text[i] == '.' && !before && !behind && removed < kMost) {
      ++removed;
    } else {
      stripped += text[i];
    }
  }
  return stripped;
}

// processPunctuation of vqaEval.py. The tests look at the input, the replacements accumulate.
std::string ProcessPunctuation(std::string_view text, PeriodRule rule) {
  constexpr std::string_view kMarks = ";/[]\"{}()=+\\_-><@`,?!";
  const bool comma = HasCommaBetweenDigits(text);
  std::string processed(text);
  for (const char mark : kMarks) {
    const std::string one(1, mark);
    const bool beside_blank =
        text.find(one + ' ') != std::string_view::npos || text.find(' ' + one) != std::string_view::npos;
    processed = Replace(processed, one, beside_blank || comma ? "" : " ");
  }
  return StripPeriods(processed, rule);
}

// processDigitArticle of vqaEval.py: number words, articles, contractions.
std::string ProcessWords(std::string_view text) {
  constexpr std::array<std::string_view, 12> kNumbers = {"none", "zero", "one",   "two",   "three", "four",
                                                         "five", "six",  "seven", "eight", "nine",  "ten"};
  std::vector<std::string> words;
  for (std::string& word : SplitWords(Lower(text))) {
    const auto number = std::find(kNumbers.begin(), kNumbers.end(), word);
    if (number != kNumbers.end())
      word = std::to_string(std::max<ptrdiff_t>(0, number - kNumbers.begin() - 1));
    if (word == "a" || word == "an" || word == "the") continue;
    words.emplace_back(Uncontract(word));
  }
  return JoinWords(words);
}

std::string Clean(std::string_view text) { return Strip(Replace(Replace(text, "\n", " "), "\t", " ")); }

std::string NormaliseM4c(std::string_view text) {
  const std::string words = Replace(Replace(Replace(Lower(text), ",", ""), "?", ""), "'s", " 's");
  return ProcessWords(ProcessPunctuation(Clean(Strip(words)), PeriodRule::kNotBeforeDigit));
}

// How `variant` treats a text, given whether the cleaned references differ.
std::string Normalise(std::string_view text, VqaVariant variant, bool references_differ) {
  switch (variant) {
    case VqaVariant::kM4c:
      return NormaliseM4c(text);
    case VqaVariant::kVlmEvalKit:
      return ProcessWords(ProcessPunctuation(Clean(text), PeriodRule::kNotBesideDigit));
    case VqaVariant::kOfficial:
    case VqaVariant::kOfficialNoIds:
      break;
  }
  const std::string clean = Clean(text);
  return references_differ ? ProcessWords(ProcessPunctuation(clean, PeriodRule::kNotBeforeDigit)) : clean;
}

bool Differ(std::span<const std::string> references) {
  for (size_t i = 1; i < references.size(); ++i) {
    if (Clean(references[i]) != Clean(references[0])) return true;
  }
  return false;
}

}  // namespace

std::string VqaNormalise(std::string_view prediction, std::span<const std::string> references,
                         VqaVariant variant) {
  return Normalise(prediction, variant, Differ(references));
}

double VqaScore(std::string_view prediction, std::span<const std::string> references, VqaVariant variant) {
  if (references.empty()) return 0;
  const bool differ = Differ(references);
  const std::string found = Normalise(prediction, variant, differ);
  std::vector<std::string> wanted;
  for (const std::string& reference : references) wanted.push_back(Normalise(reference, variant, differ));
  const auto matches = static_cast<double>(std::count(wanted.begin(), wanted.end(), found));
  double sum = 0;
  for (const std::string& left_out : wanted) {
    const double alone = variant == VqaVariant::kOfficialNoIds ? matches : 1;
    sum += std::min(1.0, (matches - (left_out == found ? alone : 0)) / 3);
  }
  return sum / static_cast<double>(wanted.size());
}

}  // namespace mobilevlm::eval
