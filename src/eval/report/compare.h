// Two or more runs of one benchmark side by side, each against the first, with paired significance.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/sheet_json.h"
#include "eval/statistics.h"

namespace mobilevlm::eval {

struct ComparedRun {
  std::string name;  // of its directory
  StoredRun stored;
};

struct Comparison {
  std::vector<ComparedRun> runs;              // the first is what the others are compared with
  std::vector<PairedDifference> differences;  // [runs - 1], in [0, 1]
  size_t common = 0;                          // questions that all runs have
};

// An Error if the runs are of different tasks or share no question.
Result<Comparison> CompareRuns(std::vector<ComparedRun> runs);

std::string ToText(const Comparison& comparison);
std::string ToMarkdown(const Comparison& comparison);
std::string ToHtml(const Comparison& comparison);

}  // namespace mobilevlm::eval
