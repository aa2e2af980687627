// y = x * W^T + bias, torch.nn.Linear, with the weights read as the file stores them.
//
// Each output is one sum over `in` in ascending order, starting at the bias: y = ((bias + x0*w0) + x1*w1)...
// with fused multiply-adds where the CPU has them. Tokens, tiles and threads only decide which outputs are
// computed side by side, so that one token alone and the same token in a batch agree to the bit.
#pragma once

#include <cstddef>

#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/mat.h"

namespace mobilevlm {

// A read-only view of a weight matrix [out, in], row-major as in the file; rows are row_bytes apart.
// F32, F16, BF16 and Q8_0. No alignment is assumed.
struct LinearWeights {
  DType type = DType::kF32;
  const std::byte* data = nullptr;
  size_t out = 0;
  size_t in = 0;
  const float* bias = nullptr;  // [out], or nullptr
  size_t row_bytes = 0;
};

// True if Linear and GatherRows can read this type; the loader asks before it accepts a tensor.
bool IsLinearType(DType type);

// x: [tokens, in], y: [tokens, out]; they must not overlap. Zero tokens are allowed.
void Linear(const OpsContext& ctx, Mat<const float> x, const LinearWeights& w, Mat<float> y);

}  // namespace mobilevlm
