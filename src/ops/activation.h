// Elementwise activations, in place on [tokens, channels]. NaN stays NaN.
#pragma once

#include "ops/context.h"
#include "tensor/mat.h"

namespace mobilevlm {

void QuickGelu(const OpsContext& ctx, Mat<float> x);  // x * sigmoid(1.702 x): OpenAI's CLIP
void Gelu(const OpsContext& ctx, Mat<float> x);  // x * (1 + erf(x / sqrt 2)) / 2: exact, not the tanh form
void Silu(const OpsContext& ctx, Mat<float> x);  // x * sigmoid(x)
void Relu(const OpsContext& ctx, Mat<float> x);
void HardSwish(const OpsContext& ctx, Mat<float> x);    // x * clamp(x + 3, 0, 6) / 6
void HardSigmoid(const OpsContext& ctx, Mat<float> x);  // clamp(x + 3, 0, 6) / 6

// out = silu(gate) * up, all [tokens, intermediate]; out may be gate or up (LlamaMLP).
void SwiGlu(const OpsContext& ctx, Mat<const float> gate, Mat<const float> up, Mat<float> out);

// y += x, both [tokens, channels]: the residual connection.
void AddInPlace(const OpsContext& ctx, Mat<const float> x, Mat<float> y);

}  // namespace mobilevlm
