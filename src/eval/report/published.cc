#include "eval/report/published.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace mobilevlm::eval {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kColumns = {{{"gqa", "GQA"},
                                                                                    {"scienceqa", "SQA-I"},
                                                                                    {"textvqa", "VQA-T"},
                                                                                    {"pope", "POPE"},
                                                                                    {"mme", "MME-P"},
                                                                                    {"mmbench", "MMB-dev"}}};
constexpr double kNone = -1;

struct Row {
  std::string_view model, source;
  std::array<double, 6> values;  // as kColumns
};

constexpr std::string_view kMobileVlm = "README of Meituan-AutoML/MobileVLM (model zoo)";
constexpr std::string_view kLlava = "docs/MODEL_ZOO.md of haotian-liu/LLaVA";
constexpr std::string_view kPhantom = "table of the Phantom paper";
constexpr std::string_view kCobra = "table of the Cobra paper";

constexpr Row kRows[] = {
    {"MobileVLM 1.7B", kMobileVlm, {56.1, 57.3, 41.5, 84.5, 1196.2, 53.2}},
    {"MobileVLM V2 1.7B", kMobileVlm, {59.3, 66.7, 52.1, 84.3, 1302.8, 57.7}},
    {"MobileVLM 3B", kMobileVlm, {59.0, 61.2, 47.5, 84.9, 1288.9, 59.6}},
    {"MobileVLM V2 3B", kMobileVlm, {61.1, 70.0, 57.5, 84.7, 1440.5, 63.2}},
    {"MobileVLM V2 7B", kMobileVlm, {62.6, 74.8, 62.3, 85.3, 1560.7, 69.2}},
    {"LLaVA-1.5 7B", kLlava, {62.0, 66.8, 58.2, 85.9, 1510.7, 64.3}},
    {"LLaVA-1.5 13B", kLlava, {63.3, 71.6, 61.3, 85.9, 1531.3, 67.7}},
    {"MoE-LLaVA 2.7Bx4", kPhantom, {kNone, 70.3, kNone, 85.7, kNone, 68.0}},
    {"LLaVA-Phi 2.7B", kPhantom, {kNone, 68.4, kNone, 85.0, kNone, 59.8}},
    {"Imp-v1 3B", kPhantom, {kNone, 70.0, kNone, 88.0, kNone, 66.5}},
    {"TinyLLaVA 3.1B", kPhantom, {kNone, 69.1, kNone, 86.4, kNone, 66.9}},
    {"Bunny 3B", kPhantom, {kNone, 70.9, kNone, 86.8, kNone, 68.6}},
    {"MoE-LLaVA Phi2 2.7B", kCobra, {62.6, kNone, 57.0, 85.7, kNone, kNone}},
    {"MoE-LLaVA StableLM 1.6B", kCobra, {60.3, kNone, 50.1, 85.7, kNone, kNone}},
};

}  // namespace

std::string_view PublishedColumn(std::string_view task) {
  const auto found =
      std::find_if(kColumns.begin(), kColumns.end(), [&](const auto& c) { return c.first == task; });
  return found == kColumns.end() ? std::string_view() : found->second;
}

std::vector<PublishedValue> PublishedFor(std::string_view task) {
  const auto found =
      std::find_if(kColumns.begin(), kColumns.end(), [&](const auto& c) { return c.first == task; });
  std::vector<PublishedValue> values;
  if (found == kColumns.end()) return values;
  const auto column = static_cast<size_t>(found - kColumns.begin());
  for (const Row& row : kRows) {
    const double value = row.values[column];
    values.push_back({row.model, row.source, value == kNone ? std::nullopt : std::optional(value)});
  }
  return values;
}

std::string WhyNotAmongPublished(const ScoreSheet& sheet) {
  if (sheet.deviations.empty()) return "";
  return fmt::format("This run has no row here, because it differs from the published protocol: {}.",
                     fmt::join(sheet.deviations, "; "));
}

}  // namespace mobilevlm::eval
