#include "train/runlog/report.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/base64.h"
#include "base/parse_json.h"
#include "base/read_file.h"
#include "base/units.h"
#include "page/line_chart.h"
#include "page/page.h"
#include "train/runlog/run_log.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxSampleBytes = 256 << 20;
constexpr uint64_t kMaxRecipeBytes = 1 << 20;

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

page::Curve CurveOf(const Stage& stage, const std::string& tag) {
  page::Curve series{tag.substr(tag.rfind('/') + 1), {}, {}};
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
void AddValidation(const Stage& stage, std::vector<page::LineChart>& charts) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const Json& line : stage.lines) {
    if (!line.contains("validation")) continue;
    for (const auto& [tag, value] : Scalars({{"validation", line["validation"]}})) {
      std::vector<std::string>& tags = groups[tag.substr(0, tag.rfind('/'))];
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) tags.push_back(tag);
    }
  }
  for (const auto& [group, tags] : groups) {
    page::LineChart chart{group, {}, false, true};
    std::replace(chart.title.begin(), chart.title.end(), '/', ' ');
    for (const std::string& tag : tags) chart.series.push_back(CurveOf(stage, tag));
    charts.push_back(std::move(chart));
  }
}

struct KnownTag {
  const char* tag;
  const char* title;  // none: no chart
  bool log_y = false;
};
constexpr KnownTag kKnownTags[] = {
    {"loss", "loss", true},
    {"lr", "learning rate"},
    {"lr_projector", "learning rate of the projector"},
    {"tokens_per_second", "tokens per second"},
    {"samples_per_second", "samples per second"},
    {"gradient_norm", "gradient norm", true},
    {"waiting", "share of the time waiting for data"},
    {"exchange_share", "share of the time exchanging gradients"},
    {"gflops_per_second", "GFLOP/s"},
    {"flop_utilisation", "share of the float32 peak"},
    {"seconds", nullptr},
    {"memory_gib", nullptr},
};

std::vector<page::LineChart> Charts(const Stage& stage) {
  std::vector<page::LineChart> charts;
  const auto add = [&](const std::string& title, const std::string& tag, bool log_y) {
    page::LineChart chart{title, {CurveOf(stage, tag)}, log_y, /*from_zero=*/!log_y};
    if (!chart.series[0].y.empty()) charts.push_back(std::move(chart));
  };
  for (const KnownTag& known : kKnownTags) {
    if (known.title != nullptr) add(known.title, known.tag, known.log_y);
  }
  AddValidation(stage, charts);
  // Parts of the loss, whatever the stage calls them.
  for (const auto& [tag, value] : Scalars(stage.lines.back())) {
    const bool is_known = std::any_of(std::begin(kKnownTags), std::end(kKnownTags),
                                      [&tag = tag](const KnownTag& known) { return tag == known.tag; });
    if (is_known || tag.starts_with("validation/")) continue;
    std::string title = tag;
    std::replace(title.begin(), title.end(), '_', ' ');
    add(title, tag, /*log_y=*/false);
  }
  return charts;
}

std::string Facts(const Stage& stage) {
  const Json& last = stage.lines.back();
  std::vector<std::pair<std::string, std::string>> facts{
      {fmt::format("{}", last["step"].get<int64_t>()), "step"},
      {fmt::format("{:.4f}", last["loss"].get<double>()), "loss"}};
  const auto add = [&](const char* key, const char* name, const char* format) {
    if (last.contains(key) && last[key].is_number()) {
      facts.emplace_back(fmt::format(fmt::runtime(format), last[key].get<double>()), name);
    }
  };
  add("lr", "learning rate", "{:.3g}");
  add("gradient_norm", "gradient norm", "{:.3g}");
  add("tokens_per_second", "tokens/s", "{:.0f}");
  add("samples_per_second", "samples/s", "{:.1f}");
  add("memory_gib", "GiB at most", "{:.2f}");
  if (last.contains("seconds")) facts.emplace_back(FormatDuration(last["seconds"].get<double>()), "time");
  return page::FactsHtml(facts);
}

Result<std::string> Samples(const Stage& stage) {
  const std::string path = stage.directory + "/samples.json";
  std::error_code error;
  if (!fs::exists(path, error)) return std::string();
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxSampleBytes));
  const Json json = ParseJson<Json>(text, path).value_or(nullptr);
  if (!json.is_object() || !json.contains("samples")) return Fail("{}: wanted an object with samples", path);
  std::string html =
      fmt::format("<h3>What it answers after step {}</h3><div class=cards>", json.value("step", 0));
  for (const Json& sample : json["samples"]) {
    const std::string picture = sample.value("picture", ""), wanted = sample.value("wanted", ""),
                      found = sample.value("found", "");
    html += "<div class=card>";
    if (!picture.empty()) html += fmt::format("<img alt=\"\" src=\"data:image/png;base64,{}\">", picture);
    html +=
        fmt::format("<p class=q>{}</p><p class={}>{}</p>", page::EscapeHtml(sample.value("question", "")),
                    found == wanted ? "good" : "bad", page::EscapeHtml(found.empty() ? "(nothing)" : found));
    if (found != wanted) html += fmt::format("<p>wanted: {}</p>", page::EscapeHtml(wanted));
    html += "</div>";
  }
  return html + "</div>\n";
}

Result<std::string> RecipeText(const Stage& stage) {
  const std::string path = stage.directory + "/recipe.toml";
  std::error_code error;
  if (!fs::exists(path, error)) return std::string();
  MVLM_ASSIGN(const std::string text, ReadFile(path, kMaxRecipeBytes));
  return page::FoldHtml("The whole recipe", fmt::format("<pre>{}</pre>", page::EscapeHtml(text)));
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
  std::string html;
  for (const Stage& stage : stages) {
    html += fmt::format("<h2>{}</h2>\n{}", page::EscapeHtml(stage.name), Facts(stage));
    html += "<div class=charts>\n";
    for (const page::LineChart& chart : Charts(stage)) html += page::LineChartHtml(chart);
    html += "</div>\n";
    MVLM_ASSIGN(const std::string samples, Samples(stage));
    MVLM_ASSIGN(const std::string recipe, RecipeText(stage));
    html += samples + recipe;
  }
  const std::string text = page::PageHtml(name.empty() ? "training run" : name,
                                          "from log.jsonl; TensorBoard has the same numbers", html);
  return WriteFileAtomically(html_path, text);
}

}  // namespace mobilevlm::train
