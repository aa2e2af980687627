#include "convert/quantize_q8_0.h"

#include <algorithm>
#include <cmath>

#include "tensor/half.h"

namespace mobilevlm {

BlockQ8_0 QuantizeBlockQ8_0(std::span<const float, 32> values) {
  float amax = 0;
  for (const float value : values) amax = std::max(amax, std::fabs(value));
  const float d = amax / 127.0f;
  const float inverse = d != 0 ? 1.0f / d : 0.0f;
  BlockQ8_0 block;
  block.d = F32ToF16(d);
  for (size_t i = 0; i < values.size(); ++i) {
    // 1 / d overflows for a subnormal d; such a block is zero in halves anyway.
    const float scaled = std::isfinite(inverse) ? values[i] * inverse : 0.0f;
    block.qs[i] = static_cast<int8_t>(std::roundf(scaled));
  }
  return block;
}

}  // namespace mobilevlm
