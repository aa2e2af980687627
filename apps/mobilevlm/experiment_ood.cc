// The experiment `ood`: the mini world by other artists, in other fonts, on another background.
#include <algorithm>

#include "eval/metrics/set_metrics.h"
#include "eval/report/plot.h"
#include "eval/statistics.h"
#include "experiment.h"
#include "experiment_format.h"
#include "world_answers.h"

namespace mobilevlm::app {
namespace {

struct Setting {
  std::string name;
  world::WorldOptions options;
  std::vector<std::string> kinds;  // that it changes
};

Result<std::vector<Setting>> OodSettings(const ExperimentFlags& flags) {
  const std::vector<std::string> objects = {"name",  "caption",  "presence", "count",
                                            "where", "relation", "choice",   "fact"};
  std::vector<Setting> settings;
  for (const std::string& drawing : flags.drawings) {
    const size_t equals = drawing.find('=');
    if (equals == std::string::npos) return Fail("--drawings: wanted NAME=DIRECTORY, found {}", drawing);
    Setting& setting = settings.emplace_back(Setting{drawing.substr(0, equals), {}, objects});
    setting.options.object_drawings = drawing.substr(equals + 1);
  }
  settings.push_back({"other fonts", {}, {"text", "chart"}});
  settings.back().options.other_fonts = true;
  settings.push_back({"dots behind", {}, {"name", "count", "colour", "shape", "text"}});
  settings.back().options.dotted_background = true;
  return settings;
}

// Rows of one setting against the usual world, kind by kind.
void AddOodRows(const Setting& setting, const WorldAnswers& usual, const WorldAnswers& changed,
                ResultTable& table) {
  std::vector<std::string> kinds = setting.kinds;
  kinds.emplace_back("all of these");
  std::vector<double> all_before, all_after;
  for (const std::string& kind : kinds) {
    const bool all = kind == kinds.back();
    const std::vector<double> before = all ? all_before : ScoresOf(usual, kind),
                              after = all ? all_after : ScoresOf(changed, kind);
    if (!all) {
      all_before.insert(all_before.end(), before.begin(), before.end());
      all_after.insert(all_after.end(), after.begin(), after.end());
    }
    const eval::PairedDifference d = eval::ComparePaired(before, after);
    table.rows.push_back({setting.name, kind, std::to_string(d.count), FormatShare(eval::Mean(before)),
                          FormatShare(eval::Mean(after)), fmt::format("{:+.1f}", 100 * d.difference),
                          FormatRange(d.interval), FormatP(d.p_value)});
  }
}

}  // namespace

Status RunOodExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  MVLM_ASSIGN(const std::vector<Setting> settings, OodSettings(flags));
  MVLM_ASSIGN(const WorldAnswers usual,
              AskWorld(load, {}, world::Kinds(), flags.per_kind, false, out + "/answers/usual"));
  ExperimentPage page{.name = "ood",
                      .title = "Out of distribution: the same questions about other drawings",
                      .question =
                          "The same scenes and questions, drawn by other artists, in fonts that no split "
                          "uses, on a background that no "
                          "split has. How much of the accuracy stays?",
                      .settings = {{"model", DescribeModel(load)},
                                   {"questions of each kind", std::to_string(flags.per_kind)},
                                   {"split", "test"}},
                      .tables = {{"Accuracy, per cent, and paired differences",
                                  {"what is changed", "kind", "questions", "usual", "changed", "difference",
                                   "95 % interval", "p"},
                                  {}}},
                      .plots = {}};
  for (const Setting& setting : settings) {
    std::string folder = setting.name;
    std::replace(folder.begin(), folder.end(), ' ', '-');
    MVLM_ASSIGN(const WorldAnswers changed, AskWorld(load, setting.options, setting.kinds, flags.per_kind,
                                                     false, out + "/answers/" + folder));
    AddOodRows(setting, usual, changed, page.tables[0]);
    std::vector<eval::PlotSeries> series = {{.name = "usual", .values = {}},
                                            {.name = setting.name, .values = {}}};
    for (const std::string& kind : setting.kinds) {
      series[0].values.push_back(Accuracy(usual, kind));
      series[1].values.push_back(Accuracy(changed, kind));
    }
    page.plots.emplace_back(folder + ".svg", eval::BarPlot({.title = "Mini world, " + setting.name,
                                                            .x_label = "kind of question",
                                                            .y_label = "accuracy, %",
                                                            .y_most = 100},
                                                           setting.kinds, series));
  }
  return WritePage(page, out);
}

}  // namespace mobilevlm::app
