// The metrics of `eval score` whose lines are whole sets of answers (see score_case.h).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/json_row.h"

namespace mobilevlm::eval {

std::vector<std::string> SetMetricNames();
Result<double> ScoreSet(const std::string& metric, const JsonRow& line);  // metric is one of SetMetricNames()

}  // namespace mobilevlm::eval
