// The benchmarks: how each is loaded from its official files, asked and scored. benchmark-by-benchmark facts
// stand in the files beside this one.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/score_sheet.h"
#include "eval/tasks/answers.h"
#include "eval/tasks/benchmark.h"

namespace mobilevlm::eval {

struct Task {
  std::string_view name;   // of the command line
  std::string_view title;  // of reports
  std::string_view files;  // what --data must hold
  // Reads and checks everything but the pictures. An Error names the row.
  Result<Benchmark> (*load)(const TaskOptions& options);
  // [questions] in, everything out; unanswered questions are wrong.
  ScoreSheet (*score)(const Benchmark& benchmark, const Answers& answers);
  bool has_splits = true;  // or TaskOptions::split means nothing to it
};

// All tasks in the order of the documentation.
std::span<const Task> Tasks();
// An Error lists the names.
Result<const Task*> FindTask(std::string_view name);

// What the scoring functions share.

// Judges every question; `judge` sees answered ones only.
ScoreSheet JudgeAll(const Benchmark& benchmark, const Answers& answers,
                    Judged (*judge)(const Question& question, const ModelAnswer& answer));
// The mean over all questions as the headline.
void AddMean(ScoreSheet& sheet, std::string name);
// For each of the dimensions that the questions have, the mean per value, in the order in which they appear.
void AddBreakdowns(const Benchmark& benchmark, ScoreSheet& sheet);
// Every question by itself as a unit of paired comparisons.
void AddUnits(const Benchmark& benchmark, ScoreSheet& sheet);
// The scores of the questions for which `keep` holds.
template <class Keep>
std::vector<double> ScoresWhere(const Benchmark& benchmark, const ScoreSheet& sheet, const Keep& keep) {
  std::vector<double> scores;
  for (size_t i = 0; i < benchmark.questions.size(); ++i) {
    if (keep(benchmark.questions[i])) scores.push_back(sheet.judged[i].score);
  }
  return scores;
}

extern const Task kScienceQa, kDocVqa, kChartQa, kOkVqa, kVlCheckList, kGqa, kTextVqa, kPope, kMme, kMmBench,
    kVizWiz, kSeedBench, kCustom;

}  // namespace mobilevlm::eval
