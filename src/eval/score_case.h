// `eval score`: predictions made elsewhere, scored by the name of a metric.
//
// A line is {"prediction": ..., "references": [...], "extra": {...}}; other keys are not looked at. What a
// metric needs in `extra` is said in docs/evaluation.md. Metrics of labels and parsers give the label as a
// number (yes 1, no 0, other -1; A 0, B 1, ...; no choice -1), those of sets one figure for the whole set of
// a line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/json_row.h"

namespace mobilevlm::eval {

// All names, in the order of the documentation.
std::vector<std::string> MetricNames();

// An Error names the line and what it lacks, or lists the metrics if there is none of this name.
Result<double> ScoreCase(const std::string& metric, const JsonRow& line);

// One text against its references, by the name of a metric that needs nothing else; an Error lists those
// names.
Result<double> ScoreText(const std::string& metric, const std::string& prediction,
                         const std::vector<std::string>& references);

}  // namespace mobilevlm::eval
