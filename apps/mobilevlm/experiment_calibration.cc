// The experiment `calibration`: accuracy by confidence, yes ratio, objects that are not there.
#include <algorithm>
#include <array>
#include <cmath>

#include "eval/metrics/set_metrics.h"
#include "eval/report/plot.h"
#include "eval/statistics.h"
#include "experiment.h"
#include "experiment_format.h"
#include "world_answers.h"

namespace mobilevlm::app {
namespace {

struct Bin {
  size_t count = 0, right = 0;
  double confidence = 0;
};
constexpr size_t kBins = 10;

std::array<Bin, kBins> ByConfidence(const WorldAnswers& asked) {
  std::array<Bin, kBins> bins = {};
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    if (!asked.answers[i]) continue;
    const double p = asked.answers[i]->Score("confidence").value_or(0);
    Bin& bin = bins[std::min(kBins - 1, static_cast<size_t>(p * kBins))];
    ++bin.count;
    bin.right += asked.sheet.judged[i].score == 1;
    bin.confidence += p;
  }
  return bins;
}

// Expected calibration error: the mean distance between confidence and accuracy, weighted by the bins.
double CalibrationError(const std::array<Bin, kBins>& bins) {
  double sum = 0, count = 0;
  for (const Bin& bin : bins) {
    sum += std::abs(bin.confidence - static_cast<double>(bin.right));
    count += static_cast<double>(bin.count);
  }
  return count > 0 ? sum / count : 0;
}

eval::BinaryCounts CountYes(const WorldAnswers& asked, const std::string& kind) {
  eval::BinaryCounts counts;
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    const eval::Question& question = asked.benchmark.questions[i];
    if (question.subset == kind && asked.answers[i])
      counts.Add(asked.sheet.judged[i].reading == "yes", question.references[0] == "yes");
  }
  return counts;
}

// Things that captions name, and how many of them the reference does not: "a dog at the top left and a red
// circle..."
struct CaptionThings {
  size_t named = 0, absent = 0;
};
CaptionThings CountCaptionThings(const WorldAnswers& asked, const world::Vocabulary& vocabulary) {
  CaptionThings things;
  const auto words = [](const std::string& text) {
    std::vector<std::string> list(1);
    for (const char c : text) {
      if (c == ' ' || c == '.' || c == ',') {
        list.emplace_back();
      } else {
        list.back() += c;
      }
    }
    return list;
  };
  for (size_t i = 0; i < asked.answers.size(); ++i) {
    const eval::Question& question = asked.benchmark.questions[i];
    if (question.subset != "caption" || !asked.answers[i]) continue;
    const std::vector<std::string> truth = words(question.references[0]);
    for (const std::string& word : words(asked.answers[i]->text)) {
      if (std::find(vocabulary.objects.begin(), vocabulary.objects.end(), word) == vocabulary.objects.end())
        continue;
      ++things.named;
      things.absent += std::find(truth.begin(), truth.end(), word) == truth.end();
    }
  }
  return things;
}

}  // namespace

Status RunCalibrationExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const LoadOptions load, LoadWithDefault(flags.load));
  MVLM_ASSIGN(const WorldAnswers asked, AskWorld(load, {}, world::Kinds(), flags.per_kind,
                                                 /*confidence=*/true, out + "/answers/usual"));
  const std::array<Bin, kBins> bins = ByConfidence(asked);
  ExperimentPage page{
      .name = "calibration",
      .title = "Calibration and hallucination",
      .question =
          "Does the probability that the model gives its own answer say how often it is right? How often "
          "does it say yes, and see what is not there?",
      .settings = {{"model", DescribeModel(load)},
                   {"questions", std::to_string(flags.per_kind) + " of each kind, test split"},
                   {"expected calibration error", fmt::format("{:.3f}", CalibrationError(bins))}},
      .tables = {{"Accuracy by confidence",
                  {"confidence", "answers", "mean confidence", "accuracy", "95 % interval"},
                  {}},
                 {"Questions of yes or no",
                  {"kind", "questions", "yes ratio", "accuracy", "95 % interval", "says yes where it is no",
                   "says no where it is yes"},
                  {}},
                 {"Objects in captions",
                  {"named", "of them not in the picture", "share", "95 % interval"},
                  {}}},
      .plots = {}};
  eval::PlotSeries reliability{.name = "answers by confidence", .values = {}},
      counts{.name = "answers", .values = {}};
  std::vector<std::string> names;
  for (size_t b = 0; b < kBins; ++b) {
    const Bin& bin = bins[b];
    names.push_back(
        fmt::format("{:.1f} to {:.1f}", static_cast<double>(b) / kBins, static_cast<double>(b + 1) / kBins));
    counts.values.push_back({static_cast<double>(bin.count)});
    if (bin.count == 0) continue;
    const auto n = static_cast<double>(bin.count);
    const eval::Interval interval =
        eval::WilsonInterval(static_cast<int>(bin.right), static_cast<int>(bin.count));
    page.tables[0].rows.push_back({names.back(), std::to_string(bin.count),
                                   fmt::format("{:.3f}", bin.confidence / n),
                                   FormatShare(static_cast<double>(bin.right) / n), FormatRange(interval)});
    reliability.values.push_back({static_cast<double>(bin.right) / n, interval});
    reliability.x.push_back(bin.confidence / n);
  }
  for (const char* kind : {"presence", "relation", "fact"}) {
    const eval::BinaryCounts c = CountYes(asked, kind);
    const eval::Interval interval =
        eval::WilsonInterval(static_cast<int>(c.tp + c.tn), static_cast<int>(c.total()));
    const auto rate = [](size_t part, size_t whole) {
      return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    };
    page.tables[1].rows.push_back(
        {kind, std::to_string(c.total()), FormatShare(c.yes_ratio()), FormatShare(c.accuracy()),
         FormatRange(interval), FormatShare(rate(c.fp, c.fp + c.tn)), FormatShare(rate(c.fn, c.fn + c.tp))});
  }
  MVLM_ASSIGN(const world::World world, world::World::Create({}));
  const CaptionThings things = CountCaptionThings(asked, world.vocabulary());
  const eval::Interval interval =
      eval::WilsonInterval(static_cast<int>(things.absent), static_cast<int>(things.named));
  page.tables[2].rows.push_back(
      {std::to_string(things.named), std::to_string(things.absent),
       FormatShare(
           things.named == 0 ? 0 : static_cast<double>(things.absent) / static_cast<double>(things.named)),
       FormatRange(interval)});
  page.plots = {{"reliability.svg",
                 eval::PointPlot({.title = "Accuracy by confidence; the dashed line is perfect calibration",
                                  .x_label = "mean confidence",
                                  .y_label = "accuracy",
                                  .y_most = 1,
                                  .diagonal = true},
                                 {reliability})},
                {"confidence.svg", eval::BarPlot({.title = "How confident the answers are",
                                                  .x_label = "confidence",
                                                  .y_label = "answers"},
                                                 names, {counts})}};
  return WritePage(page, out);
}

}  // namespace mobilevlm::app
