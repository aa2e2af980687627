// Products with packed quantised weights, activations quantised to 8 bits per block of inputs (32 or
// 64, as the format has it) on the way: the arithmetic is written in kernels/quant_kernels.h. ops/linear.h is
// the door.
#pragma once

#include <span>

#include "ops/linear.h"

namespace mobilevlm {

// All parts are packed, in formats of one length of block, and read the same x; x is quantised once and the
// threads share the outputs of all.
void LinearQuantised(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts);

// Outputs [begin, begin + width) of packed weights over the inputs [k, k + depth) as floats, [depth][width]:
// what the float path multiplies. k and depth are multiples of the unit, depth at most kPanelK. Outputs
// behind the last, as far as the panels reach, are 0.
void UnpackToFloat(const KernelTable& kernels, const LinearWeights& w, size_t begin, size_t width, size_t k,
                   size_t depth, float* out);

}  // namespace mobilevlm
