// Rotary position embedding (Su et al. 2021) in GGUF's llama layout: the pairs are adjacent, (x[2i],
// x[2i+1]). HF checkpoints pair (x[i], x[i + head_dim/2]); the converter permutes the rows of q and k
// accordingly.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "tensor/mat.h"

namespace mobilevlm {

// cos and sin of position * base^(-2i / head_dim), computed once in double. Immutable afterwards.
class RopeTable {
 public:
  RopeTable() = default;
  RopeTable(size_t positions, size_t head_dim, float base);  // head_dim is even

  size_t positions() const { return positions_; }
  size_t head_dim() const { return head_dim_; }
  const float* cos(size_t position) const { return cos_.data() + position * (head_dim_ / 2); }
  const float* sin(size_t position) const { return sin_.data() + position * (head_dim_ / 2); }

 private:
  size_t positions_ = 0;
  size_t head_dim_ = 0;
  AlignedBuffer<float> cos_;  // [positions, head_dim / 2]
  AlignedBuffer<float> sin_;  // [positions, head_dim / 2]
};

// Rotates x: [tokens, heads * head_dim] in place, on the calling thread; row t stands at start_position + t.
void ApplyRope(const KernelTable& kernels, const RopeTable& table, size_t start_position, Mat<float> x);

}  // namespace mobilevlm
