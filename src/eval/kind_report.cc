#include "eval/kind_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "eval/proportion.h"

namespace mobilevlm::eval {
namespace {

double Share(int part, int whole) { return whole > 0 ? static_cast<double>(part) / whole : 0.0; }

}  // namespace

KindScore& KindReport::At(std::string_view kind, double chance) {
  for (KindScore& score : kinds) {
    if (score.kind == kind) return score;
  }
  KindScore& score = kinds.emplace_back();
  score.kind = kind;
  score.chance = chance;
  return score;
}

std::string ToText(const KindReport& report) {
  std::string text = fmt::format("{:<10} {:>9}  {:>8}  {:<15} {:>7} {:>7}\n", "kind", "questions", "accuracy",
                                 "95 % interval", "blank", "chance");
  for (const KindScore& score : report.kinds) {
    const Interval interval = WilsonInterval(score.correct, score.total);
    const std::string range = fmt::format("{:.1f} to {:.1f} %", 100 * interval.low, 100 * interval.high);
    const std::string blank =
        score.blank_total > 0 ? fmt::format("{:.1f} %", 100 * Share(score.blank_correct, score.blank_total))
                              : std::string("-");
    text += fmt::format("{:<10} {:>9}  {:>6.1f} %  {:<15} {:>7} {:>5.1f} %\n", score.kind, score.total,
                        100 * Share(score.correct, score.total), range, blank, 100 * score.chance);
  }
  return text;
}

std::string ToJson(const KindReport& report) {
  nlohmann::ordered_json kinds = nlohmann::ordered_json::object();
  for (const KindScore& score : report.kinds) {
    const Interval interval = WilsonInterval(score.correct, score.total);
    nlohmann::ordered_json entry = {{"questions", score.total},
                                    {"correct", score.correct},
                                    {"accuracy", Share(score.correct, score.total)},
                                    {"low", interval.low},
                                    {"high", interval.high},
                                    {"chance", score.chance}};
    if (score.blank_total > 0) entry["blank"] = Share(score.blank_correct, score.blank_total);
    kinds[score.kind] = entry;
  }
  return nlohmann::ordered_json{{"kinds", kinds}}.dump(2);
}

}  // namespace mobilevlm::eval
