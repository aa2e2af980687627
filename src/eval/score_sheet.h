// ScoreSheet: everything a run of a benchmark says about a model, as numbers.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/proportion.h"

namespace mobilevlm::eval {

enum class Unit { kPercent, kPoints };

struct Figure {
  std::string name;  // "GQA accuracy", "POPE mean F1", "MME perception"
  double value = 0;  // percent, or points
  Unit unit = Unit::kPercent;
  size_t count = 0;                  // questions (or pairs, groups) behind it
  std::optional<Interval> interval;  // 95 %, in the unit of the value
};

struct Breakdown {
  std::string dimension;  // "subject", "question type"
  std::vector<Figure> figures;
};

// One question, or what counts as one: the unit of paired comparisons.
struct UnitScore {
  std::string key;   // the same in every run of the benchmark
  double score = 0;  // [0, 1]
};

// One question as it was judged.
struct Judged {
  double score = 0;     // [0, 1]
  std::string reading;  // what the answer was taken to mean: "B", "yes", a normalised text
  bool answered = true;
};

struct ScoreSheet {
  std::string task, variant;
  std::vector<Figure> figures;  // the headline first
  std::vector<Breakdown> breakdowns;
  std::vector<Judged> judged;  // [questions]
  std::vector<UnitScore> units;
  size_t missing = 0;  // questions without an answer; they count as wrong
  std::vector<std::string> notes;
  // As Benchmark::deviations: with any, the headline does not stand beside published figures.
  std::vector<std::string> deviations;
};

// The mean of scores in [0, 1] in percent: Wilson's interval where all are 0 or 1, else the bootstrap's.
Figure MeanFigure(std::string name, std::span<const double> scores);
// Any figure of `count` things with its bootstrap interval: `statistic` gets the indices of a resample.
Figure ResampledFigure(std::string name, size_t count, Unit unit,
                       const std::function<double(std::span<const size_t>)>& statistic);

}  // namespace mobilevlm::eval
