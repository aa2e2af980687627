#pragma once

#include "ops/context.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Softmax over the last axis of x [rows, cols], in place. A row with a NaN or +Inf becomes NaN, as in torch.
void Softmax(const OpsContext& ctx, Mat<float> x);

}  // namespace mobilevlm
