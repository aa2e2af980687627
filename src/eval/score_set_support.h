// What the set metrics of `eval score` read from a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/json_row.h"
#include "eval/metrics/labels.h"
#include "eval/metrics/set_metrics.h"

namespace mobilevlm::eval {

using Rows = std::vector<JsonRow>;

Result<std::vector<double>> Numbers(const JsonRow& list);
Result<std::vector<double>> NumbersAt(const JsonRow& row, std::string_view key);
// A list of answers, null for one that is missing (which matches nothing).
Result<std::vector<std::string>> AnswerTexts(const JsonRow& line, std::string_view key);
Status SameSize(const JsonRow& line, size_t wanted, size_t found, std::string_view what);
// extra.options of MMBench: {"A": "dog", "B": "cat"}.
Result<Options> ReadOptions(const JsonRow& extra);
// extra.measure: which figure of the set is wanted.
Result<std::string> Measure(const JsonRow& line);
Result<double> Figure(const BinaryCounts& counts, const std::string& measure, const JsonRow& line);

// VL-CheckList.
Result<double> VlcItcCase(const JsonRow& line);
Result<double> VlcItmCase(const JsonRow& line);
Result<double> VlcSpoke(const JsonRow& line);
Result<double> VlcGroup(const JsonRow& line);
Result<double> VlcYes(const JsonRow& line);
Result<double> VlcGptScore(const JsonRow& line);

}  // namespace mobilevlm::eval
