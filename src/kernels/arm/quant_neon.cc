// Integer kernels for every 64-bit ARM: SMULL, and pairs of its products in 16 bits. |w| <= 128 and
// |x| <= 127 keep a pair from overflowing.
#include "kernels/arm/quant_neon-inl.h"
#include "kernels/tables.h"

namespace mobilevlm {
namespace {

struct BaselineQuant : NeonQuant {
  static Ints Dot(Ints acc, Bytes w, int8x16_t x) {
    const int8x16_t weights = vreinterpretq_s8_u8(w);
    const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
    const int16x8_t high = vmull_high_s8(weights, x);
    return vpadalq_s16(acc, vpaddq_s16(low, high));
  }
};

}  // namespace

constinit const QuantKernels kNeonQuantKernels = MakeQuantKernels<BaselineQuant>("neon");

}  // namespace mobilevlm
