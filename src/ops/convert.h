// Rows of floats to rows of halves.
#pragma once

#include <cstddef>

#include "ops/context.h"
#include "tensor/half.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Writes row t of in [tokens, cols] to out + t * out_stride as half, rounded to nearest even; beyond the
// range becomes infinity (the f16 KV cache).
void ToHalf(const OpsContext& ctx, Mat<const float> in, f16_t* out, size_t out_stride);

}  // namespace mobilevlm
