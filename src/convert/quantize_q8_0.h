// The reference quantiser of Q8_0 (ggml's quantize_row_q8_0_ref): d = amax / 127, q = round(x / d) with
// halves away from zero. The scale is rounded to an IEEE half only when stored; the quants come from the
// float scale.
#pragma once

#include <span>

#include "tensor/blocks.h"

namespace mobilevlm {

BlockQ8_0 QuantizeBlockQ8_0(std::span<const float, 32> values);

}  // namespace mobilevlm
