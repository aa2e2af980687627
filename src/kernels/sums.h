// Where a product over part of the inputs starts and what it writes: rows of float sums of two panels,
// `stride` floats apart.
#pragma once

#include <stddef.h>

namespace mobilevlm {

struct StartSums {
  const float* row;
  size_t stride;
};
struct PairSums {
  float* row;
  size_t stride;
};

}  // namespace mobilevlm
