// From float to every type a file can store. tensor/dequantize.h is the way back; tensor/blocks.h describes
// the formats.
//
// Encoders choose the blocks that lose least in the sum of w (x - x')^2: without an importance that is the
// plain squared error, with one (`mobilevlm imatrix`) columns that meet large activations weigh more, and in
// them large weights: w = importance * sqrt(mean of the block's x^2 + x^2). Q8_0 is the exception: it takes
// ggml's rounding to the bit, since nothing is gained by a search. The result depends on the arguments alone.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace mobilevlm {

// n values, whole blocks of `type`, to RowBytes(type, n) bytes at `out`. importance: nullptr, or n weights
// that are finite and not negative. Values that are not finite, or too large for the type, come back from
// Dequantize as such: compare, as quantize/quantize.cc does, before believing the result.
void Encode(DType type, const float* x, size_t n, const float* importance, std::byte* out);

}  // namespace mobilevlm
