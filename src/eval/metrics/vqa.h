// Soft accuracy of the VQA family: OK-VQA, TextVQA, VizWiz.
//
// With answers r1..rn after normalisation, for every i the matches of the prediction among the others (left
// out by index) count min(matches / 3, 1); the score is the mean over i. Ten answers give 0, 0.3, 0.6, 0.9, 1
// for 0, 1, 2, 3, 4 or more matches. No answers give 0.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mobilevlm::eval {

enum class VqaVariant {
  kOfficial,       // GT-Vision-Lab vqaEval.py: normalises only where the references are not all the same
  kM4c,            // EvalAI processor of Pythia, MMF, LLaVA, MobileVLM: always normalises
  kVlmEvalKit,     // as kOfficial, but always, and a period beside a digit stays
  kOfficialNoIds,  // kOfficial run on answers without ids: equal answers are left out together (its bug)
};

double VqaScore(std::string_view prediction, std::span<const std::string> references, VqaVariant variant);

// The prediction as it is compared.
std::string VqaNormalise(std::string_view prediction, std::span<const std::string> references,
                         VqaVariant variant);

}  // namespace mobilevlm::eval
