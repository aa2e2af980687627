#pragma once

#include <cstddef>
#include <span>

#include "ops/context.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Mean of each 2x2 square (torch.nn.AvgPool2d(2)): x [grid * grid, channels], grid even,
// y [(grid/2) * (grid/2), channels].
void AvgPool2x2(const OpsContext& ctx, Mat<const float> x, size_t grid, Mat<float> y);

// Mean over all rows: x [positions, channels], y [channels] (the squeeze of squeeze-and-excite).
void GlobalMean(const OpsContext& ctx, Mat<const float> x, std::span<float> y);

// x[p][c] *= scale[c] (the excitation). x: [positions, channels], scale: [channels].
void ScaleChannels(const OpsContext& ctx, std::span<const float> scale, Mat<float> x);

}  // namespace mobilevlm
