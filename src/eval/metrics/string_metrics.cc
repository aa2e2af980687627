#include "eval/metrics/string_metrics.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "eval/metrics/python_text.h"

namespace mobilevlm::eval {
namespace {

constexpr double kThreshold = 0.5;
constexpr double kTolerance = 0.05;

// One reference; before the threshold.
double Similarity(std::string_view prediction, std::string_view reference, AnlsVariant variant) {
  const auto normalise = [&](std::string_view text) {
    if (variant == AnlsVariant::kRrc) return CodePoints(JoinWords(SplitWords(Lower(text))));
    return CodePoints(variant == AnlsVariant::kStVqaM4c ? Strip(Lower(text)) : Lower(text));
  };
  const std::u32string found = normalise(prediction), wanted = normalise(reference);
  const size_t length = variant == AnlsVariant::kRrc
                            ? std::max(CodePoints(prediction).size(), CodePoints(reference).size())
                            : std::max(found.size(), wanted.size());
  if (length == 0) return 1;
  return 1 - static_cast<double>(EditDistance(found, wanted)) / static_cast<double>(length);
}

// _to_float of pix2struct's metrics: a trailing % divides by 100.
std::optional<double> ToNumber(std::string_view text) {
  if (!text.ends_with('%')) return ParseFloat(text);
  const std::optional<double> number = ParseFloat(StripRight(text, '%'));
  return number ? std::optional(*number / 100) : std::nullopt;
}

std::string WithoutPunctuation(std::string_view text) {
  std::string rest = Lower(text);
  std::erase_if(rest, [](unsigned char c) { return c < 0x80 && std::ispunct(c) != 0; });
  return rest;
}

bool IsYear(std::string_view text) {
  const bool digits =
      text.size() == 4 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && text >= "1500" && text <= "2100";
}

}  // namespace

double AnlsScore(std::string_view prediction, std::span<const std::string> references, AnlsVariant variant) {
  double best = 0;
  for (const std::string& reference : references) {
    best = std::max(best, Similarity(prediction, reference, variant));
  }
  // 1 - 0.5 is exact, so a distance of half the length is told apart by the comparison alone.
  const bool kept = variant == AnlsVariant::kPix2struct ? best > kThreshold : best >= kThreshold;
  return kept ? best : 0;
}

bool RelaxedMatch(std::string_view prediction, std::string_view target) {
  const std::optional<double> found = ToNumber(prediction), wanted = ToNumber(target);
  if (found && wanted && *wanted != 0) return std::abs(*found - *wanted) / std::abs(*wanted) <= kTolerance;
  return Lower(prediction) == Lower(target);
}

bool RelaxedMatchSwapped(std::string_view prediction, std::string_view target) {
  return RelaxedMatch(target, prediction);
}

bool RelaxedMatchYearExact(std::string_view prediction, std::string_view target) {
  if (!IsYear(target)) return RelaxedMatch(prediction, target);
  return prediction == target;
}

bool GqaMatch(std::string_view prediction, std::string_view answer) {
  return Lower(StripRight(prediction, '.')) == answer;
}

bool GqaMatchLmms(std::string_view prediction, std::string_view answer) {
  return WithoutPunctuation(prediction) == WithoutPunctuation(answer);
}

}  // namespace mobilevlm::eval
