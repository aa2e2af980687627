// Products of float activations, each output one chain in ascending inputs; quantised weights are widened.
// ops/linear.h is the door.
#pragma once

#include <span>

#include "ops/linear.h"

namespace mobilevlm {

// Any types. A few tokens meet weights in panels as they lie (ops/linear_panels.h), one token also weights in
// rows; more tokens meet blocks of weights widened to float.
void LinearFloat(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts);

}  // namespace mobilevlm
