// Passes over memory that libtorch would make one operator at a time: each of these reads and writes once,
// forward and backward, float32 on the CPU.
#pragma once

#include <torch/torch.h>

#include <array>

namespace mobilevlm::train {

// Queries, keys and values per head from the rows of one product:
// qkv [batch * tokens, 3 * heads * head_dim] -> three of [batch * heads, tokens, head_dim].
// Queries and keys are turned by the rotary tables (half-split layout, transformers: apply_rotary_pos_emb) if
// they are defined: `cos` and `sin` [tokens, head_dim], or of each sequence [batch, 1, tokens, head_dim];
// both halves of a row are equal. Queries are multiplied by `scale` as well.
std::array<torch::Tensor, 3> SplitHeads(const torch::Tensor& qkv, int64_t batch, int64_t heads, double scale,
                                        const torch::Tensor& cos, const torch::Tensor& sin);

// The way back: [batch * heads, tokens, head_dim] -> [batch * tokens, heads * head_dim].
torch::Tensor MergeHeads(const torch::Tensor& mixed, int64_t batch, int64_t heads);

// x / sqrt(mean(x^2) + eps) * weight over the rows of x [rows, hidden] (transformers: LlamaRMSNorm).
torch::Tensor RmsNormRows(const torch::Tensor& x, const torch::Tensor& weight, double eps);

}  // namespace mobilevlm::train
