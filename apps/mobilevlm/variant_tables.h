// Tables and plots of runs that differ in one thing: what the experiments `ablations` and `projectors` show.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report/plot.h"
#include "eval/statistics.h"
#include "experiment.h"

namespace mobilevlm::app {

// A variant and its runs so far, by seed.
struct TrainedVariant {
  Variant variant;
  std::vector<RunScore> runs;
};

// For each question the share of the runs that answer it right: of one kind, or "" for all.
std::vector<double> QuestionMeans(const TrainedVariant& trained, std::string_view kind, bool blank);

// The mean with its 95 % interval over the questions, in per cent.
eval::PlotValue MeanValue(std::span<const double> scores);

// One row a variant: tokens, parameters, exact match, each seed, blank, and the difference from `reference`,
// paired question by question. `labels` are the names of the rows.
ResultTable CompareVariants(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                            const std::vector<std::string>& labels, const TrainedVariant& reference);
// One row a variant, one column a kind.
ResultTable KindTable(const std::string& title, const std::vector<TrainedVariant>& all, bool blank);
// One row a run.
ResultTable RunTable(const std::vector<TrainedVariant>& all);
// What each variant sets.
ResultTable SettingTable(const std::vector<TrainedVariant>& all);

std::string AccuracyPlot(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                         const std::vector<std::string>& labels);
std::string KindPlot(const std::string& title, const std::vector<const TrainedVariant*>& variants,
                     const std::vector<std::string>& labels);

// The rows about budget, base and questions of every page.
std::vector<std::pair<std::string, std::string>> TrainingSettings(const ExperimentFlags& flags,
                                                                  const TrainingRuns& runs, int seeds);

// Those of `all` that --variants names (none: all), in their order; the first, the reference, always. An
// Error lists the names.
Result<std::vector<Variant>> ChooseVariants(const std::vector<Variant>& all,
                                            const std::vector<std::string>& names);

// Trains every variant with seed 1, then with seed 2 and so on, and calls `write` when a seed is complete.
Status TrainVariants(const ExperimentFlags& flags, const std::string& name, const TrainingRuns& runs,
                     const std::vector<Variant>& variants,
                     const std::function<Status(const std::vector<TrainedVariant>& all)>& write);

}  // namespace mobilevlm::app
