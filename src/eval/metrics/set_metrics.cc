#include "eval/metrics/set_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace mobilevlm::eval {
namespace {

double Share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

constexpr std::array<std::string_view, 10> kPerception = {
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"};
constexpr std::array<std::string_view, 4> kCognition = {"commonsense_reasoning", "numerical_calculation",
                                                        "text_translation", "code_reasoning"};

}  // namespace

double Mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

void BinaryCounts::Add(bool predicted, bool truth) {
  size_t& cell = predicted ? (truth ? tp : fp) : (truth ? fn : tn);
  ++cell;
}
double BinaryCounts::accuracy() const { return Share(tp + tn, total()); }
double BinaryCounts::precision() const { return Share(tp, tp + fp); }
double BinaryCounts::recall() const { return Share(tp, tp + fn); }
double BinaryCounts::f1() const {
  const double p = precision(), r = recall();
  return p + r == 0 ? 0 : 2 * p * r / (p + r);
}
double BinaryCounts::yes_ratio() const { return Share(tp + fp, total()); }

double MmeScore(std::span<const MmePair> pairs) {
  size_t right = 0, both = 0;
  for (const MmePair& pair : pairs) {
    right += pair.first + pair.second;
    both += pair.first && pair.second;
  }
  return 100 * Share(right, 2 * pairs.size()) + 100 * Share(both, pairs.size());
}

bool IsMmePerception(std::string_view category) {
  return std::find(kPerception.begin(), kPerception.end(), category) != kPerception.end();
}

bool IsMmeCognition(std::string_view category) {
  return std::find(kCognition.begin(), kCognition.end(), category) != kCognition.end();
}

double VlcItc(std::span<const CaptionPair> pairs, size_t most) {
  const auto first = pairs.first(std::min(pairs.size(), most / 2));
  const auto right = std::count_if(first.begin(), first.end(),
                                   [](const CaptionPair& pair) { return pair.positive > pair.negative; });
  return Share(static_cast<size_t>(right), first.size());
}

BinaryCounts VlcItm(std::span<const CaptionPair> pairs, size_t most) {
  constexpr double kMatch = 0.5;
  BinaryCounts counts;
  for (const CaptionPair& pair : pairs) {
    if (counts.total() < most) counts.Add(pair.positive > kMatch, true);
    if (counts.total() < most) counts.Add(pair.negative > kMatch, false);
  }
  return counts;
}

double YesProbability(double yes_logit, double no_logit) { return 1 / (1 + std::exp(no_logit - yes_logit)); }

double RoundedPercent(double share) { return RoundTo(100 * share, 2); }

double RoundTo(double value, int decimals) {
  return std::strtod(fmt::format("{:.{}f}", value, decimals).c_str(), nullptr);
}

}  // namespace mobilevlm::eval
