// Element type conversions of whole arrays, exact or rounded to nearest even.
#pragma once

#include <cstddef>

#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/mat.h"

namespace mobilevlm {

// n elements of F32, F16, BF16 or Q8_0 (n a multiple of the block) as float; exact. No alignment is
// assumed. For loading (norm weights, biases) and for `inspect`: one thread, scalar.
void ToFloat(DType type, const void* bytes, size_t n, float* out);

// Writes row t of in [tokens, cols] to out + t * out_stride as half, rounded to nearest even; beyond the
// range becomes infinity (the f16 KV cache).
void ToHalf(const OpsContext& ctx, Mat<const float> in, f16_t* out, size_t out_stride);

}  // namespace mobilevlm
