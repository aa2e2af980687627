// What the papers report for the benchmarks, with the source of each row.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace mobilevlm::eval {

struct PublishedValue {
  std::string_view model, source;
  std::optional<double> value;  // nothing: not published
};

// The rows for a task's headline, in the unit of its figure; empty if none of the sources has the benchmark.
std::vector<PublishedValue> PublishedFor(std::string_view task);
// The column's name in those tables: "SQA-I".
std::string_view PublishedColumn(std::string_view task);

}  // namespace mobilevlm::eval
