// Scores of one prediction against its references, for DocVQA, ChartQA, GQA. Pure functions; names and rules
// are those of the implementations they mirror.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mobilevlm::eval {

// Average normalised Levenshtein similarity (DocVQA).
enum class AnlsVariant {
  kRrc,  // the challenge's script: lower-cased, white space collapsed, over the longer raw length; >= 0.5
  kStVqaM4c,    // lower-cased and stripped, over the longer stripped length; kept if >= 0.5
  kPix2struct,  // the paper's formula: a distance of exactly half the length gives 0
};
// The best of the references; 0 without any.
double AnlsScore(std::string_view prediction, std::span<const std::string> references, AnlsVariant variant);

// Relaxed accuracy of ChartQA (pix2struct): numbers within 5 % of a target that is not 0, else equal
// strings whatever the case. The prediction is taken as it is.
bool RelaxedMatch(std::string_view prediction, std::string_view target);
// Qwen-VL's argument order: 5 % of the prediction.
bool RelaxedMatchSwapped(std::string_view prediction, std::string_view target);
// Not official: as RelaxedMatch, but a target that is a whole number from 1500 to 2100 must be met exactly.
bool RelaxedMatchYearExact(std::string_view prediction, std::string_view target);

// GQA: LLaVA's converter (trailing full stops dropped, lower-cased), then the official comparison.
bool GqaMatch(std::string_view prediction, std::string_view answer);
// lmms-eval: ASCII punctuation deleted and lower-cased on both sides.
bool GqaMatchLmms(std::string_view prediction, std::string_view answer);

}  // namespace mobilevlm::eval
