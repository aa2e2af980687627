// Armv8.2 dot products: SDOT adds four products to each of four sums.
#pragma once

#include "kernels/arm/quant_neon-inl.h"

namespace mobilevlm {
namespace {

struct DotprodQuant : NeonQuant {
  static Ints Dot(Ints acc, Bytes w, int8x16_t x) { return vdotq_s32(acc, vreinterpretq_s8_u8(w), x); }
};

}  // namespace
}  // namespace mobilevlm
