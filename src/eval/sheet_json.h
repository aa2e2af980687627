// Score sheets as JSON: what a run leaves behind for programs and for comparisons.
#pragma once

#include <string>

#include "base/result.h"
#include "eval/report/run_summary.h"
#include "eval/score_sheet.h"

namespace mobilevlm::eval {

// {"task", "variant", "figures": {"name": {"value", "unit", "count", "low", "high"}}, "breakdowns": {...},
// "missing", "notes", "deviations"}; RunToJson adds {"units": [["key", score], ...]} and the run.
std::string SheetToJson(const ScoreSheet& sheet);
std::string RunToJson(const ScoreSheet& sheet, const RunSummary& run);

struct StoredRun {
  ScoreSheet sheet;  // judged is empty
  RunSummary run;
};
// What RunToJson wrote.
Result<StoredRun> ReadRun(const std::string& path);

}  // namespace mobilevlm::eval
