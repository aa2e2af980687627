// What the products share: outputs that start at the bias, and are asked for before they are written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "ops/linear.h"
#include "tensor/mat.h"

namespace mobilevlm {

// The bias of outputs first .. to y; zeros without a bias, and behind the last output.
inline void CopyBias(const LinearWeights& w, size_t first, std::span<float> y) {
  const size_t count = w.bias == nullptr ? 0 : std::min(y.size(), w.out - first);
  if (count > 0) std::copy_n(w.bias + first, count, y.data());
  std::fill_n(y.data() + count, y.size() - count, 0.0f);
}

// Asks for outputs that are about to be written: rows of y are far apart, often by a multiple of 4 KiB, so
// that no cache would have them.
inline void PrefetchOutputs(Mat<float> y) {
  constexpr size_t kFloatsPerLine = 64 / sizeof(float);
  for (size_t r = 0; r < y.rows(); ++r) {
    for (size_t c = 0; c < y.cols(); c += kFloatsPerLine) __builtin_prefetch(y.row(r) + c, 1);
  }
}

}  // namespace mobilevlm
