// Normalisation over the last axis. x and y are [tokens, hidden]; y may be x.
#pragma once

#include <span>

#include "ops/context.h"
#include "tensor/mat.h"

namespace mobilevlm {

// y = (x - mean) / sqrt(var + eps) * gamma + beta, var the biased variance (torch.nn.LayerNorm).
// gamma and beta: [hidden].
void LayerNorm(const OpsContext& ctx, Mat<const float> x, std::span<const float> gamma,
               std::span<const float> beta, float eps, Mat<float> y);

// y = x / sqrt(mean(x^2) + eps) * gamma (LlamaRMSNorm). gamma: [hidden].
void RmsNorm(const OpsContext& ctx, Mat<const float> x, std::span<const float> gamma, float eps,
             Mat<float> y);

}  // namespace mobilevlm
