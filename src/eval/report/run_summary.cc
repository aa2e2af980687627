#include "eval/report/run_summary.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "eval/json_row.h"

namespace mobilevlm::eval {

Status ReadTimings(const std::string& path, RunSummary& summary) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::ReadLines(path));
  std::map<int64_t, double>
      totals;  // a question that was asked twice, because its answer was lost, counts once
  for (const JsonRow& row : file.lines()) {
    MVLM_ASSIGN(const int64_t index, row.Integer("index"));
    const auto number = [&](const char* key) -> Result<double> {
      MVLM_ASSIGN(const JsonRow value, row.At(key));
      return value.AsNumber();
    };
    MVLM_ASSIGN(const double total, number("total_ms"));
    MVLM_ASSIGN(const double image, number("image_ms"));
    MVLM_ASSIGN(const double prompt, number("prompt_ms"));
    MVLM_ASSIGN(const double generate, number("generate_ms"));
    MVLM_ASSIGN(const double generated, number("generated"));
    if (!totals.emplace(index, total).second) continue;
    summary.total.mean += total;
    summary.image_ms += image;
    summary.prompt_ms += prompt;
    summary.generate_ms += generate;
    summary.tokens += generated;
  }
  if (totals.empty()) return {};
  const auto n = static_cast<double>(totals.size());
  for (double* sum :
       {&summary.total.mean, &summary.image_ms, &summary.prompt_ms, &summary.generate_ms, &summary.tokens}) {
    *sum /= n;
  }
  std::vector<double> sorted;
  for (const auto& [index, total] : totals) sorted.push_back(total);
  std::sort(sorted.begin(), sorted.end());
  summary.total.count = sorted.size();
  summary.total.median = sorted[(sorted.size() - 1) / 2];
  summary.total.p90 = sorted[(sorted.size() - 1) * 9 / 10];
  return {};
}

std::string FormatValue(const Figure& figure) {
  return fmt::format("{:.{}f}{}", figure.value, figure.unit == Unit::kPercent ? 2 : 1,
                     figure.unit == Unit::kPercent ? " %" : "");
}

std::string FormatInterval(const Figure& figure) {
  if (!figure.interval) return "-";
  return fmt::format("{:.1f} to {:.1f}", figure.interval->low, figure.interval->high);
}

std::string FormatMilliseconds(double milliseconds) {
  return milliseconds < 1000 ? fmt::format("{:.1f} ms", milliseconds)
                             : fmt::format("{:.2f} s", milliseconds / 1000);
}

std::string ToText(const ScoreSheet& sheet) {
  size_t width = 0;
  const auto widen = [&](const std::vector<Figure>& figures) {
    for (const Figure& figure : figures) width = std::max(width, figure.name.size() + 2);
  };
  widen(sheet.figures);
  for (const Breakdown& breakdown : sheet.breakdowns) widen(breakdown.figures);
  const auto line = [&](const Figure& figure, std::string_view indent) {
    return fmt::format("{:<{}}  {:>10}  {:<18} {:>7}\n", std::string(indent) + figure.name, width,
                       FormatValue(figure), FormatInterval(figure), figure.count);
  };
  std::string text =
      fmt::format("{:<{}}  {:>10}  {:<18} {:>7}\n", "", width, "value", "95 % interval", "count");
  for (const Figure& figure : sheet.figures) text += line(figure, "");
  for (const Breakdown& breakdown : sheet.breakdowns) {
    text += breakdown.dimension + "\n";
    for (const Figure& figure : breakdown.figures) text += line(figure, "  ");
  }
  if (sheet.missing > 0)
    text += fmt::format("{} questions without an answer count as wrong\n", sheet.missing);
  for (const std::string& note : sheet.notes) text += note + "\n";
  return text;
}

}  // namespace mobilevlm::eval
