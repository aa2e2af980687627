// How the pages of `mobilevlm experiment` print numbers.
#pragma once

#include <fmt/format.h>

#include <string>

#include "eval/statistics.h"

namespace mobilevlm::app {

// "51.2 %", "48.0 to 54.4" of a share; "0.0312", "below 0.0001".
inline std::string FormatShare(double share) { return fmt::format("{:.1f} %", 100 * share); }
inline std::string FormatRange(const eval::Interval& interval) {
  return fmt::format("{:.1f} to {:.1f}", 100 * interval.low, 100 * interval.high);
}
inline std::string FormatP(double p) { return p < 1e-4 ? "below 0.0001" : fmt::format("{:.4f}", p); }

}  // namespace mobilevlm::app
