// Whole pieces of a size, for sizes that are far from overflow (checked_math.h is for those from files).
#pragma once

#include <cstddef>

namespace mobilevlm {

constexpr size_t DivideUp(size_t n, size_t by) { return (n + by - 1) / by; }
constexpr size_t RoundUp(size_t n, size_t multiple) { return DivideUp(n, multiple) * multiple; }

}  // namespace mobilevlm
