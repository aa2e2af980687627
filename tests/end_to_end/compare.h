// How golden tests compare arrays of floats. Tested itself, by mutants, in compare_test.cc.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

#include <fmt/format.h>

namespace mobilevlm::golden {

struct Difference {
  bool same_size = false;
  bool finite = true;  // every value of both arrays is a number
  double largest = 0;  // max |found - wanted|
  size_t at = 0;       // where
  float found = 0, wanted = 0;

  bool Within(double tolerance) const { return same_size && finite && largest <= tolerance; }
  std::string ToString() const {
    if (!same_size) return "sizes differ";
    if (!finite) return fmt::format("no number at {}: found {}, wanted {}", at, found, wanted);
    return fmt::format("largest difference {} at {}: found {}, wanted {}", largest, at, found, wanted);
  }
};

inline Difference Compare(std::span<const float> found, std::span<const float> wanted) {
  Difference result;
  result.same_size = found.size() == wanted.size() && !wanted.empty();
  if (!result.same_size) return result;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    const bool number = std::isfinite(difference);
    if (number && difference <= result.largest) continue;
    result.largest = difference;
    result.at = i;
    result.found = found[i];
    result.wanted = wanted[i];
    result.finite = number;
    if (!number) return result;
  }
  return result;
}

}  // namespace mobilevlm::golden
