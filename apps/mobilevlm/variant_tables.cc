#include "variant_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/stopwatch.h"
#include "commands.h"
#include "eval/score_sheet.h"
#include "experiment_format.h"
#include "world/world.h"

namespace mobilevlm::app {
namespace {

double MeanOver(const std::vector<RunScore>& runs, double (RunScore::*what)() const) {
  double sum = 0;
  for (const RunScore& run : runs) sum += (run.*what)();
  return runs.empty() ? 0 : sum / static_cast<double>(runs.size());
}

std::string FormatTime(double seconds) {
  return seconds < 5400 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

std::vector<double> QuestionMeans(const TrainedVariant& trained, std::string_view kind, bool blank) {
  std::vector<double> means;
  for (const RunScore& run : trained.runs) {
    size_t at = 0;
    for (size_t k = 0; k < run.kinds.size(); ++k) {
      if (!kind.empty() && run.kinds[k] != kind) continue;
      for (const double score : blank ? run.blank[k] : run.right[k]) {
        if (at == means.size()) means.push_back(0);
        means[at++] += score / static_cast<double>(trained.runs.size());
      }
    }
  }
  return means;
}

eval::PlotValue MeanValue(std::span<const double> scores) {
  const eval::Figure figure = eval::MeanFigure("", scores);
  return {figure.value, figure.interval};
}

ResultTable CompareVariants(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                            const std::vector<std::string>& labels, const TrainedVariant& reference) {
  ResultTable table{title,
                    {"variant", "tokens", "projector parameters", "samples", "exact match", "95 % interval",
                     "each seed", "blank picture", "difference", "95 % interval of it", "of each seed", "p"},
                    {}};
  const std::vector<double> against = QuestionMeans(reference, "", false);
  for (size_t i = 0; i < variants.size(); ++i) {
    const TrainedVariant& one = *variants[i];
    if (one.runs.empty()) continue;
    const std::vector<double> scores = QuestionMeans(one, "", false);
    const eval::PlotValue mean = MeanValue(scores);
    std::vector<std::string> seeds, differences;
    for (size_t s = 0; s < one.runs.size(); ++s) {
      seeds.push_back(fmt::format("{:.1f}", 100 * one.runs[s].accuracy()));
      differences.push_back(
          fmt::format("{:+.1f}", 100 * (one.runs[s].accuracy() - reference.runs[s].accuracy())));
    }
    std::vector<std::string> row = {labels[i],
                                    std::to_string(one.runs[0].tokens),
                                    std::to_string(one.runs[0].projector_parameters),
                                    std::to_string(one.runs[0].samples),
                                    fmt::format("{:.1f} %", mean.value),
                                    fmt::format("{:.1f} to {:.1f}", mean.interval->low, mean.interval->high),
                                    fmt::format("{}", fmt::join(seeds, " ")),
                                    FormatShare(MeanOver(one.runs, &RunScore::blank_accuracy))};
    if (one.variant.name == reference.variant.name) {
      row.insert(row.end(), {"reference", "", "", ""});
    } else {
      const eval::PairedDifference d = eval::ComparePaired(against, scores);
      row.insert(row.end(), {fmt::format("{:+.1f}", 100 * d.difference), FormatRange(d.interval),
                             fmt::format("{}", fmt::join(differences, " ")), FormatP(d.p_value)});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

ResultTable KindTable(const std::string& title, const std::vector<TrainedVariant>& all, bool blank) {
  ResultTable table{title, {"variant"}, {}};
  const std::vector<std::string>& kinds = world::Kinds();
  table.columns.insert(table.columns.end(), kinds.begin(), kinds.end());
  for (const TrainedVariant& one : all) {
    if (one.runs.empty()) continue;
    std::vector<std::string>& row = table.rows.emplace_back();
    row.push_back(one.variant.description);
    for (const std::string& kind : kinds) {
      row.push_back(fmt::format("{:.1f}", MeanValue(QuestionMeans(one, kind, blank)).value));
    }
  }
  return table;
}

ResultTable RunTable(const std::vector<TrainedVariant>& all) {
  ResultTable table{"Every run", {"variant", "seed", "exact match", "blank picture"}, {}};
  for (const TrainedVariant& one : all) {
    for (const RunScore& run : one.runs) {
      table.rows.push_back({one.variant.description, std::to_string(run.seed),
                            fmt::format("{:.2f} %", 100 * run.accuracy()),
                            fmt::format("{:.2f} %", 100 * run.blank_accuracy())});
    }
  }
  return table;
}

ResultTable SettingTable(const std::vector<TrainedVariant>& all) {
  ResultTable table{"What each variant is", {"variant", "--variants", "scenes", "set"}, {}};
  for (const TrainedVariant& one : all) {
    const Variant& v = one.variant;
    std::vector<std::string> set;
    for (const std::string& key : v.set) set.push_back("`" + key + "`");
    if (v.one_stage) set.emplace_back("no align; its samples are multitask's");
    table.rows.push_back({v.description, v.name,
                          v.scenes_divisor == 1 ? "all" : fmt::format("1/{}", v.scenes_divisor),
                          fmt::format("{}", fmt::join(set, ", "))});
  }
  return table;
}

std::string AccuracyPlot(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                         const std::vector<std::string>& labels) {
  eval::PlotSeries right{.name = "with the picture", .values = {}}, blank{.name = "blank", .values = {}};
  std::vector<std::string> names;
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i]->runs.empty()) continue;
    names.push_back(labels[i]);
    right.values.push_back(MeanValue(QuestionMeans(*variants[i], "", false)));
    blank.values.push_back(MeanValue(QuestionMeans(*variants[i], "", true)));
  }
  return eval::BarPlot({.title = title, .x_label = "", .y_label = "exact match, %"}, names, {right, blank});
}

std::string KindPlot(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                     const std::vector<std::string>& labels) {
  std::vector<eval::PlotSeries> series;
  for (size_t i = 0; i < variants.size(); ++i) {
    if (variants[i]->runs.empty()) continue;
    eval::PlotSeries& one = series.emplace_back();
    one.name = labels[i];
    for (const std::string& kind : world::Kinds()) {
      one.values.push_back(MeanValue(QuestionMeans(*variants[i], kind, false)));
    }
  }
  return eval::BarPlot(
      {.title = title, .x_label = "kind of question", .y_label = "exact match, %", .y_most = 100},
      world::Kinds(), series);
}

std::vector<std::pair<std::string, std::string>> TrainingSettings(const ExperimentFlags& flags,
                                                                  const TrainingRuns& runs, int seeds) {
  const TrainingBudget& budget = runs.budget();
  std::vector<std::pair<std::string, std::string>> settings = {
      {"budget of a run",
       fmt::format("{} steps of {} samples, then {} of {}: {} samples", budget.align_steps,
                   budget.align_batch, budget.multitask_steps, budget.multitask_batch, budget.samples())},
      {"training scenes", std::to_string(budget.scenes)},
      {"seeds", seeds == 1 ? std::string("1") : fmt::format("1 to {}", seeds)},
      {"questions", std::to_string(flags.per_kind) + " of each kind, test split"},
      {"stage 0 (tower, language stage), hash", runs.base_hash()}};
  if (flags.training.quick) settings.emplace_back("sizes", "tiny (--quick): these numbers mean nothing");
  if (!flags.training.set.empty()) {
    settings.emplace_back("set for all", fmt::format("{}", fmt::join(flags.training.set, ", ")));
  }
  return settings;
}

Result<std::vector<Variant>> ChooseVariants(const std::vector<Variant>& all,
                                            const std::vector<std::string>& names) {
  if (names.empty()) return all;
  std::vector<std::string> known;
  for (const Variant& variant : all) known.push_back(variant.name);
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Fail("--variants: wanted some of {}, found '{}'", fmt::join(known, ", "), name);
    }
  }
  std::vector<Variant> chosen;
  for (const Variant& variant : all) {
    if (chosen.empty() || std::find(names.begin(), names.end(), variant.name) != names.end()) {
      chosen.push_back(variant);
    }
  }
  return chosen;
}

Status TrainVariants(const ExperimentFlags& flags, const std::string& name, const TrainingRuns& runs,
                     const std::vector<Variant>& variants,
                     const std::function<Status(const std::vector<TrainedVariant>& all)>& write) {
  std::vector<TrainedVariant> all;
  for (const Variant& variant : variants) all.push_back({variant, {}});
  const size_t total = variants.size() * static_cast<size_t>(flags.training.seeds);
  size_t done = 0, made_here = 0;
  const Stopwatch watch;
  for (int seed = 1; seed <= flags.training.seeds; ++seed) {
    for (TrainedVariant& one : all) {
      const std::string label =
          fmt::format("{} {}/{}: {}, seed {}", name, done + 1, total, one.variant.name, seed);
      bool made = false;
      MVLM_ASSIGN(one.runs.emplace_back(), runs.Get(one.variant, seed, flags.per_kind, label, &made));
      ++done;
      std::string rest;
      if (made) {
        const double each = watch.Seconds() / static_cast<double>(++made_here);
        rest = fmt::format("; about {} left at most", FormatTime(each * static_cast<double>(total - done)));
      }
      fmt::print(stderr, "{}: {}{}{}\n", label, FormatShare(one.runs.back().accuracy()),
                 made ? "" : ", done before", rest);
    }
    MVLM_TRY(write(all));
  }
  return {};
}

}  // namespace mobilevlm::app
