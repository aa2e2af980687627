#include "base/units.h"

#include <fmt/format.h>

#include <cmath>

namespace mobilevlm {

std::string FormatDuration(double seconds) {
  const long whole = std::lround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string FormatBytes(uint64_t bytes) {
  constexpr double kKib = 1024.0, kMib = kKib * 1024.0, kGib = kMib * 1024.0, kTib = kGib * 1024.0;
  const double value = static_cast<double>(bytes);
  if (value >= kTib) return fmt::format("{:.1f} TiB", value / kTib);
  if (value >= kGib) return fmt::format("{:.1f} GiB", value / kGib);
  if (value >= kMib) return fmt::format("{:.0f} MiB", value / kMib);
  if (value >= kKib) return fmt::format("{:.0f} KiB", value / kKib);
  return fmt::format("{} bytes", bytes);
}

}  // namespace mobilevlm
