// Float weights times float activations as products of bfloat16: the arithmetic is written in
// kernels/split_kernels.h. ops/linear.h is the door.
#pragma once

#include <span>

#include "ops/linear.h"

namespace mobilevlm {

// ctx.kernels->split is there, all parts are F16 or BF16 and not packed. x is split once, the threads share
// the outputs of all parts.
void LinearSplit(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts);

}  // namespace mobilevlm
