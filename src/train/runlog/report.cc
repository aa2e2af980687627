#include "train/runlog/report.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "base/units.h"
#include "train/runlog/base64.h"
#include "train/runlog/run_log.h"
#include "train/runlog/svg_chart.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxSampleBytes = 256 << 20;
constexpr uint64_t kMaxRecipeBytes = 1 << 20;

constexpr const char* kStyle = R"css(
:root { --paper: #fcfcfb; --ink: #1c2024; --dim: #6a7178; --rule: #e2e4e6; --card: #ffffff }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e6e8ea; --dim: #9aa2aa; --rule: #2b3036; --card: #1b1f23 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1200px; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .2rem 0 1rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; border-top: 1px solid var(--rule); padding-top: 1rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .5rem; color: var(--dim); font-weight: 600 }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: 0 0 .8rem; padding: 0; list-style: none }
.facts b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums }
.facts span { color: var(--dim); font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: .8rem }
figure { margin: 0; padding: .6rem; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  min-width: 0 }
figcaption { font-weight: 600; font-size: .9rem; margin-bottom: .2rem }
svg { width: 100%; height: auto; display: block }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif }
svg .grid { stroke: var(--rule); stroke-width: 1 }
svg polyline { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round }
svg circle { fill: currentColor }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .8rem }
.c0 { color: #2f6fde } .c1 { color: #d9622b } .c2 { color: #2a9d6f } .c3 { color: #b14cc4 } .c4 { color: #c39b12 }
.c5 { color: #1f9bb5 } .c6 { color: #d2456f } .c7 { color: #6d7f2a } .c8 { color: #7a6ff0 } .c9 { color: #8a8f96 }
.samples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)); gap: .8rem }
.sample { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .6rem; min-width: 0;
  overflow-wrap: anywhere }
.sample img { width: 100%; border-radius: 4px; display: block; margin-bottom: .5rem; image-rendering: auto }
.sample p { margin: .15rem 0 } .sample .q { color: var(--dim); white-space: pre-line }
.right { color: #2a9d6f } .wrong { color: #d2456f }
details { margin: .8rem 0 } pre { overflow-x: auto; font-size: .8rem; background: var(--card); padding: .6rem;
  border: 1px solid var(--rule); border-radius: 8px }
footer { color: var(--dim); font-size: .85rem; margin-top: 2rem }
)css";

struct Stage {
  std::string name, directory;
  std::vector<Json> lines;
  double begun = 0;
};

Result<std::vector<Stage>> ReadStages(const std::string& directory) {
  std::vector<fs::path> places{directory};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.is_directory(error)) places.push_back(entry.path());
  }
  std::vector<Stage> stages;
  for (const fs::path& place : places) {
    const fs::path log = place / "log.jsonl";
    if (!fs::exists(log, error)) continue;
    Stage stage{fs::absolute(place).lexically_normal().filename().string(), place.string(), {}, 0};
    MVLM_ASSIGN(stage.lines, ReadLog(log.string()));
    if (stage.lines.empty()) continue;
    stage.begun = stage.lines.front().value("time", 0.0);
    stages.push_back(std::move(stage));
  }
  if (stages.empty()) return Fail("{}: wanted a run with a log.jsonl, found none", directory);
  std::stable_sort(stages.begin(), stages.end(), [](const Stage& a, const Stage& b) {
    return std::tie(a.begun, a.name) < std::tie(b.begun, b.name);
  });
  return stages;
}

ChartSeries SeriesOf(const Stage& stage, const std::string& tag) {
  ChartSeries series{tag.substr(tag.rfind('/') + 1), {}, {}};
  for (const Json& line : stage.lines) {
    for (const auto& [name, value] : Scalars(line)) {
      if (name != tag) continue;
      series.x.push_back(line["step"].get<double>());
      series.y.push_back(value);
    }
  }
  return series;
}

// Charts of the tags "validation/..." : one per object, its numbers together.
void AddValidation(const Stage& stage, std::vector<Chart>& charts) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const Json& line : stage.lines) {
    if (!line.contains("validation")) continue;
    for (const auto& [tag, value] : Scalars({{"validation", line["validation"]}})) {
      std::vector<std::string>& tags = groups[tag.substr(0, tag.rfind('/'))];
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
    }
  }
  for (const auto& [group, tags] : groups) {
    Chart chart{group, {}, false, true};
    std::replace(chart.title.begin(), chart.title.end(), '/', ' ');
    for (const std::string& tag : tags) chart.series.push_back(SeriesOf(stage, tag));
    charts.push_back(std::move(chart));
  }
}

std::vector<Chart> Charts(const Stage& stage) {
  std::vector<Chart> charts;
  const auto add = [&](const std::string& title, const std::string& tag, bool log_y, bool from_zero) {
    Chart chart{title, {SeriesOf(stage, tag)}, log_y, from_zero};
    if (!chart.series[0].y.empty()) charts.push_back(std::move(chart));
  };
  add("loss", "loss", true, false);
  add("learning rate", "lr", false, true);
  add("tokens per second", "tokens_per_second", false, true);
  add("samples per second", "samples_per_second", false, true);
  add("gradient norm", "gradient_norm", true, false);
  add("share of the time waiting for data", "waiting", false, true);
  AddValidation(stage, charts);
  // Parts of the loss, whatever the stage calls them.
  const std::vector<std::string> known{
      "loss",          "lr",      "lr_factor", "tokens_per_second", "samples_per_second",
      "gradient_norm", "waiting", "seconds"};
  for (const auto& [tag, value] : Scalars(stage.lines.back())) {
    const bool shown = std::find(known.begin(), known.end(), tag) != known.end();
    if (!shown && !tag.starts_with("validation/")) {
      std::string title = tag;
      std::replace(title.begin(), title.end(), '_', ' ');
      add(title, tag, false, true);
    }
  }
  return charts;
}

std::string Facts(const Stage& stage) {
  const Json& last = stage.lines.back();
  std::vector<std::pair<std::string, std::string>> facts{
      {"step", fmt::format("{}", last["step"].get<int64_t>())},
      {"loss", fmt::format("{:.4f}", last["loss"].get<double>())}};
  const auto add = [&](const char* key, const char* name, const char* format) {
    if (last.contains(key) && last[key].is_number()) {
      facts.emplace_back(name, fmt::format(fmt::runtime(format), last[key].get<double>()));
    }
  };
  add("lr", "learning rate", "{:.3g}");
  add("gradient_norm", "gradient norm", "{:.3g}");
  add("tokens_per_second", "tokens/s", "{:.0f}");
  add("samples_per_second", "samples/s", "{:.1f}");
  add("memory_gib", "GiB at most", "{:.2f}");
  if (last.contains("seconds")) facts.emplace_back("time", FormatDuration(last["seconds"].get<double>()));
  std::string html = "<ul class=facts>";
  for (const auto& [name, value] : facts) {
    html += fmt::format("<li><b>{}</b><span>{}</span></li>", EscapeHtml(value), EscapeHtml(name));
  }
  return html + "</ul>\n";
}

Result<std::string> Samples(const Stage& stage) {
  const std::string path = stage.directory + "/samples.json";
  std::error_code error;
  if (!fs::exists(path, error)) return std::string();
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxSampleBytes));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("samples")) return Fail("{}: wanted an object with samples", path);
  std::string html =
      fmt::format("<h3>What it answers after step {}</h3><div class=samples>", json.value("step", 0));
  for (const Json& sample : json["samples"]) {
    const std::string picture = sample.value("picture", ""), wanted = sample.value("wanted", ""),
                      found = sample.value("found", "");
    html += "<div class=sample>";
    if (!picture.empty()) html += fmt::format("<img alt=\"\" src=\"data:image/png;base64,{}\">", picture);
    html += fmt::format("<p class=q>{}</p><p class={}>{}</p>", EscapeHtml(sample.value("question", "")),
                        found == wanted ? "right" : "wrong", EscapeHtml(found.empty() ? "(nothing)" : found));
    if (found != wanted) html += fmt::format("<p>wanted: {}</p>", EscapeHtml(wanted));
    html += "</div>";
  }
  return html + "</div>\n";
}

Result<std::string> RecipeText(const Stage& stage) {
  const std::string path = stage.directory + "/recipe.toml";
  std::error_code error;
  if (!fs::exists(path, error)) return std::string();
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  return fmt::format("<details><summary>The whole recipe</summary><pre>{}</pre></details>\n",
                     EscapeHtml(text));
}

}  // namespace

Status WriteSamples(const std::string& directory, int64_t step,
                    const std::vector<SamplePrediction>& samples) {
  Json json{{"step", step}, {"samples", Json::array()}};
  for (const SamplePrediction& sample : samples) {
    json["samples"].push_back({{"question", sample.question},
                               {"wanted", sample.wanted},
                               {"found", sample.found},
                               {"picture", EncodeBase64(sample.picture)}});
  }
  const std::string text = json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  return WriteFileAtomically(directory + "/samples.json", text);
}

Status WriteReport(const std::string& directory, const std::string& html_path) {
  MVLM_ASSIGN(const std::vector<Stage> stages, ReadStages(directory));
  const std::string name = fs::absolute(directory).lexically_normal().filename().string();
  std::string html = fmt::format(
      "<!doctype html><html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width, "
      "initial-scale=1\"><title>{0}</title><style>{1}</style>"
      "</head><body><h1>{0}</h1>\n",
      EscapeHtml(name.empty() ? "training run" : name), kStyle);
  for (const Stage& stage : stages) {
    html += fmt::format("<h2>{}</h2>\n{}", EscapeHtml(stage.name), Facts(stage));
    html += "<div class=charts>\n";
    for (const Chart& chart : Charts(stage)) html += ChartHtml(chart);
    html += "</div>\n";
    MVLM_ASSIGN(const std::string samples, Samples(stage));
    MVLM_ASSIGN(const std::string recipe, RecipeText(stage));
    html += samples + recipe;
  }
  html +=
      "<footer>Written by mobilevlm-train from log.jsonl; the same numbers are in the TensorBoard events "
      "beside it.</footer></body></html>\n";
  return WriteFileAtomically(html_path, html);
}

}  // namespace mobilevlm::train
