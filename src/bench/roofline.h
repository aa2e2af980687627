// The roofline picture (Williams, Waterman, Patterson 2009): how fast each step could run, given how many
// operations it does per byte it reads, and how fast it ran.
#pragma once

#include <string>

#include "bench/report.h"

namespace mobilevlm::bench {

// A complete SVG file.
std::string RooflineSvg(const Report& report);

}  // namespace mobilevlm::bench
