#pragma once

#include <cstddef>
#include <span>

#include "ops/context.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Output side of a 3x3 convolution with zero padding 1: ceil(grid / stride).
inline size_t Conv3x3OutputGrid(size_t grid, size_t stride) { return (grid - 1) / stride + 1; }

// Depthwise 3x3 convolution, zero padding 1, straight on channels-last data (no im2col).
// x: [grid * grid, channels], weights: [channels, 3, 3] (rows, then columns, as torch stores
// [channels, 1, 3, 3]), bias: [channels] or empty, stride 1 or 2,
// y: [g * g, channels] with g = Conv3x3OutputGrid(grid, stride); x and y must not overlap.
void DepthwiseConv3x3(const OpsContext& ctx, Mat<const float> x, size_t grid, std::span<const float> weights,
                      std::span<const float> bias, size_t stride, Mat<float> y);

}  // namespace mobilevlm
