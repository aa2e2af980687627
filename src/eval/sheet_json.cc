#include "eval/sheet_json.h"

#include "eval/json_row.h"

namespace mobilevlm::eval {
namespace {

std::string FiguresToJson(const std::vector<Figure>& figures, std::string_view indent) {
  std::string json = "{";
  for (const Figure& figure : figures) {
    json += fmt::format("{}\n{}  {}: {{\"value\": {}, \"unit\": \"{}\", \"count\": {}",
                        &figure == figures.data() ? "" : ",", indent, JsonQuote(figure.name), figure.value,
                        figure.unit == Unit::kPercent ? "percent" : "points", figure.count);
    if (figure.interval)
      json += fmt::format(", \"low\": {}, \"high\": {}", figure.interval->low, figure.interval->high);
    json += "}";
  }
  return json + fmt::format("\n{}}}", indent);
}

std::string TextsToJson(const std::vector<std::string>& texts) {
  std::string json = "[";
  for (const std::string& text : texts) json += (&text == texts.data() ? "" : ", ") + JsonQuote(text);
  return json + "]";
}

std::string Members(const ScoreSheet& sheet) {
  std::string json =
      fmt::format("  \"task\": {},\n  \"variant\": {},\n  \"figures\": {},\n  \"breakdowns\": {{",
                  JsonQuote(sheet.task), JsonQuote(sheet.variant), FiguresToJson(sheet.figures, "  "));
  for (const Breakdown& breakdown : sheet.breakdowns) {
    json += fmt::format("{}\n    {}: {}", &breakdown == sheet.breakdowns.data() ? "" : ",",
                        JsonQuote(breakdown.dimension), FiguresToJson(breakdown.figures, "    "));
  }
  return json + fmt::format("}},\n  \"missing\": {},\n  \"notes\": {},\n  \"deviations\": {}", sheet.missing,
                            TextsToJson(sheet.notes), TextsToJson(sheet.deviations));
}

Result<double> Number(const JsonRow& row, std::string_view key) {
  MVLM_ASSIGN(const JsonRow value, row.At(key));
  return value.AsNumber();
}

Result<std::vector<Figure>> ReadFigures(const JsonRow& row) {
  MVLM_ASSIGN(const auto members, row.Members());
  std::vector<Figure> figures;
  for (const auto& [name, value] : members) {
    Figure& figure = figures.emplace_back();
    figure.name = name;
    MVLM_ASSIGN(figure.value, Number(value, "value"));
    MVLM_ASSIGN(const std::string unit, value.String("unit"));
    figure.unit = unit == "percent" ? Unit::kPercent : Unit::kPoints;
    MVLM_ASSIGN(const int64_t count, value.Integer("count"));
    figure.count = static_cast<size_t>(count);
    if (!value.Has("low")) continue;
    MVLM_ASSIGN(const double low, Number(value, "low"));
    MVLM_ASSIGN(const double high, Number(value, "high"));
    figure.interval = Interval{low, high};
  }
  return figures;
}

}  // namespace

std::string SheetToJson(const ScoreSheet& sheet) { return "{\n" + Members(sheet) + "\n}\n"; }

std::string RunToJson(const ScoreSheet& sheet, const RunSummary& run) {
  std::string json = "{\n" + Members(sheet) + ",\n";
  json += fmt::format("  \"headline\": {},\n", JsonQuote(sheet.figures.empty() ? "" : sheet.figures[0].name));
  json += fmt::format(
      "  \"run\": {{\"model\": {}, \"files\": {}, \"machine\": {}, \"data\": {}, \"mean_ms\": {}, "
      "\"median_ms\": {}, \"p90_ms\": {}, ",
      JsonQuote(run.model), JsonQuote(run.files), JsonQuote(run.machine), JsonQuote(run.data), run.total.mean,
      run.total.median, run.total.p90);
  json += fmt::format(
      "\"image_ms\": {}, \"prompt_ms\": {}, \"generate_ms\": {}, \"tokens\": {}, \"peak_memory\": {}, "
      "\"images_per_second\": {}, \"questions_per_second\": {}}},\n",
      run.image_ms, run.prompt_ms, run.generate_ms, run.tokens, run.peak_memory, run.images_per_second,
      run.questions_per_second);
  json += "  \"units\": [";
  for (const UnitScore& unit : sheet.units) {
    json += fmt::format("{}\n    [{}, {}]", &unit == sheet.units.data() ? "" : ",", JsonQuote(unit.key),
                        unit.score);
  }
  return json + "]\n}\n";
}

Result<StoredRun> ReadRun(const std::string& path) {
  MVLM_ASSIGN(const JsonDocument file, JsonDocument::Read(path));
  const JsonRow root = file.root();
  StoredRun stored;
  ScoreSheet& sheet = stored.sheet;
  MVLM_ASSIGN(sheet.task, root.String("task"));
  MVLM_ASSIGN(sheet.variant, root.String("variant"));
  MVLM_ASSIGN(const JsonRow figures, root.At("figures"));
  MVLM_ASSIGN(sheet.figures, ReadFigures(figures));
  // The headline first again: objects are read in the order of their keys.
  MVLM_ASSIGN(const std::string headline, root.String("headline"));
  for (size_t i = 0; i < sheet.figures.size(); ++i) {
    if (sheet.figures[i].name == headline) std::swap(sheet.figures[0], sheet.figures[i]);
  }
  MVLM_ASSIGN(const JsonRow breakdowns, root.At("breakdowns"));
  MVLM_ASSIGN(const auto members, breakdowns.Members());
  for (const auto& [dimension, value] : members) {
    MVLM_ASSIGN(std::vector<Figure> parts, ReadFigures(value));
    sheet.breakdowns.push_back({dimension, std::move(parts)});
  }
  MVLM_ASSIGN(const int64_t missing, root.Integer("missing"));
  sheet.missing = static_cast<size_t>(missing);
  MVLM_ASSIGN(const std::vector<JsonRow> units, root.Rows("units"));
  for (const JsonRow& unit : units) {
    MVLM_ASSIGN(const std::vector<JsonRow> pair, unit.Elements());
    if (pair.size() != 2) return Fail("{}: wanted a key and a score", unit.where());
    UnitScore& score = sheet.units.emplace_back();
    MVLM_ASSIGN(score.key, pair[0].AsText());
    MVLM_ASSIGN(score.score, pair[1].AsNumber());
  }
  MVLM_ASSIGN(const JsonRow run, root.At("run"));
  MVLM_ASSIGN(stored.run.model, run.String("model"));
  MVLM_ASSIGN(stored.run.files, run.String("files"));
  MVLM_ASSIGN(stored.run.machine, run.String("machine"));
  MVLM_ASSIGN(stored.run.data, run.String("data"));
  MVLM_ASSIGN(stored.run.total.mean, Number(run, "mean_ms"));
  MVLM_ASSIGN(stored.run.total.median, Number(run, "median_ms"));
  MVLM_ASSIGN(stored.run.total.p90, Number(run, "p90_ms"));
  MVLM_ASSIGN(const int64_t memory, run.Integer("peak_memory"));
  stored.run.peak_memory = static_cast<uint64_t>(memory);
  return stored;
}

}  // namespace mobilevlm::eval
