#include "train/curves.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/parse_json.h"
#include "base/read_file.h"
#include "train/mini.h"
#include "train/plot.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kLogLimit = 64 << 20;

Series& SeriesOf(Panel& panel, const std::string& name) {
  for (Series& series : panel.series) {
    if (series.name == name) return series;
  }
  return panel.series.emplace_back(Series{name, {}, {}});
}

void AddPoint(Panel& panel, const std::string& name, double x, double y) {
  Series& series = SeriesOf(panel, name);
  series.x.push_back(x);
  series.y.push_back(y);
}

// Appends the two panels of one log: a line of JSON per entry, "validation" in some of them.
Status AddStage(const std::string& stage, const std::string& path, std::vector<Panel>& panels) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLogLimit));
  Panel loss{stage + ": training loss", "step", "loss", {}, /*log_y=*/true};
  Panel validation{stage + ": validation", "step", "share right", {}, false};
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const auto entry = ParseJson(line, path).value_or(nullptr);
    if (!entry.is_object() || !entry.contains("step") || !entry.contains("loss")) {
      return Fail("{}:{}: wanted a JSON object with step and loss", path, number);
    }
    const double step = entry["step"].get<double>();
    AddPoint(loss, "loss", step, entry["loss"].get<double>());
    if (!entry.contains("validation")) continue;
    for (const auto& [name, value] : entry["validation"].items()) {
      if (value.is_number()) AddPoint(validation, name, step, value.get<double>());
    }
  }
  panels.push_back(std::move(loss));
  panels.push_back(std::move(validation));
  return {};
}

}  // namespace

Status PlotRun(const std::string& directory, const std::string& png_path) {
  std::vector<Panel> panels;
  for (const std::string& stage : MiniPlan::StageNames()) {
    const std::string path = directory + "/" + stage + "/log.jsonl";
    if (std::filesystem::exists(path)) MVLM_TRY(AddStage(stage, path, panels));
  }
  if (panels.empty())
    return Fail("{}: wanted a run with a log.jsonl in a stage's folder, found none", directory);
  return PlotPanels(panels, png_path);
}

}  // namespace mobilevlm::train
