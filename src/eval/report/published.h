// What the papers report for the benchmarks, with the source of each row.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/score_sheet.h"

namespace mobilevlm::eval {

struct PublishedValue {
  std::string_view model, source;
  std::optional<double> value;  // nothing: not published
};

// The rows for a task's headline, in the unit of its figure; empty if none of the sources has the benchmark.
std::vector<PublishedValue> PublishedFor(std::string_view task);
// The column's name in those tables: "SQA-I".
std::string_view PublishedColumn(std::string_view task);
// Why a run has no row of its own among them: it was made by another protocol. Empty: it has one.
std::string WhyNotAmongPublished(const ScoreSheet& sheet);

}  // namespace mobilevlm::eval
