#pragma once

#include <cstddef>

#include "ops/context.h"
#include "ops/linear.h"
#include "tensor/mat.h"

namespace mobilevlm {

struct PatchScratch {
  AlignedBuffer<float> columns;  // [grid * grid, 3 * patch * patch]
};

// A convolution whose stride is its kernel: non-overlapping patches times a matrix.
// pixels: planar float [3, size, size]; w: [hidden, 3 * patch * patch], the conv weight
// [hidden, 3, patch, patch] flattened; y: [grid * grid, hidden], row-major over the grid, with
// grid = size / patch. Pixels right of and below the last whole patch are ignored, as torch does.
void PatchEmbed(const OpsContext& ctx, const float* pixels, size_t size, size_t patch, const LinearWeights& w,
                PatchScratch& scratch, Mat<float> y);

}  // namespace mobilevlm
