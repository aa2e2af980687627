// kRopeRows of schema/tensors.h, row by row: Hugging Face rotates row i of a head with row i + head_dim / 2,
// GGUF rotates neighbours. Both are inverse to each other, and stay inside a head.
#pragma once

#include <cstddef>

namespace mobilevlm {

// Row 2i + j of a head in GGUF is row j * head_dim / 2 + i of Hugging Face.
inline size_t HfRowOf(size_t gguf_row, size_t head_dim) {
  const size_t inside = gguf_row % head_dim;
  return gguf_row - inside + inside % 2 * (head_dim / 2) + inside / 2;
}

inline size_t GgufRowOf(size_t hf_row, size_t head_dim) {
  const size_t inside = hf_row % head_dim;
  const size_t half = head_dim / 2;
  return hf_row - inside + inside % half * 2 + inside / half;
}

}  // namespace mobilevlm
