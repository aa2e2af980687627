// One row of x times a block of weights, straight from the format, written once over the vector class V of
// simd/rows-inl.h and simd/matrix-inl.h: what decoding does, where packing a panel that is used once would
// cost more than the product. Each output is the same chain as in gemm_panel, so the bits are the same.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd/prefetch-inl.h"
#include "kernels/simd/rows-inl.h"

namespace mobilevlm {
namespace {

// Loads the square of `rows` <= kLanes rows from input j on; rows that do not exist are 0.
template <class V, class Reader, class Part>
inline void LoadSquare(const unsigned char* block, size_t row_bytes, size_t rows, size_t j, Part part,
                       typename V::F (&square)[V::kLanes]) {
  if (rows >= V::kLanes) {
#pragma GCC unroll 16
    for (size_t r = 0; r < V::kLanes; ++r) square[r] = Reader::At(block + r * row_bytes, j, part);
  } else {
    for (size_t r = 0; r < V::kLanes; ++r) {
      square[r] = r < rows ? Reader::At(block + r * row_bytes, j, part) : V::Set(0.0f);
    }
  }
}

// Continues the sums of kLanes outputs, one per lane, over `count` inputs.
template <class V, class Reader, class Part>
inline typename V::F DotSquare(const float* x, const unsigned char* block, size_t row_bytes, size_t rows,
                               size_t j, Part part, size_t count, typename V::F sum) {
  typename V::F square[V::kLanes];
  LoadSquare<V, Reader>(block, row_bytes, rows, j, part, square);
  V::Transpose(square);
  if (count == V::kLanes) {
#pragma GCC unroll 16
    for (size_t i = 0; i < V::kLanes; ++i) sum = V::Fma(V::Set(x[j + i]), square[i], sum);
  } else {
    for (size_t i = 0; i < count; ++i) sum = V::Fma(V::Set(x[j + i]), square[i], sum);
  }
  return sum;
}

template <class V, class Reader>
void GemvRows(const float* x, const void* block, size_t row_bytes, size_t rows, size_t k, const void* next,
              float* y) {
  constexpr size_t kSteps = 64 / Reader::kBytesPerVector > 0 ? 64 / Reader::kBytesPerVector : 1;  // per line
  const auto* top = static_cast<const unsigned char*>(block);
  const size_t top_rows = rows < V::kLanes ? rows : V::kLanes;
  const size_t bottom_rows = rows - top_rows;
  const auto* bottom = top + (bottom_rows > 0 ? V::kLanes * row_bytes : 0);
  // Two chains side by side, so that one's latency is the other's time.
  auto sum = V::Load(y, Some{top_rows});
  auto bottom_sum = V::Load(y + top_rows, Some{bottom_rows});
  size_t j = 0;
  for (size_t step = 0; j + V::kLanes <= k; j += V::kLanes, ++step) {
    if (next != nullptr && step % kSteps == 0) {
      for (size_t r = 0; r < rows; ++r) Prefetch(next, r * row_bytes + step * Reader::kBytesPerVector);
    }
    sum = DotSquare<V, Reader>(x, top, row_bytes, top_rows, j, All{}, V::kLanes, sum);
    if (bottom_rows > 0) {
      bottom_sum = DotSquare<V, Reader>(x, bottom, row_bytes, bottom_rows, j, All{}, V::kLanes, bottom_sum);
    }
  }
  if (j < k) {
    const Some part{k - j};
    sum = DotSquare<V, Reader>(x, top, row_bytes, top_rows, j, part, part.n, sum);
    if (bottom_rows > 0) {
      bottom_sum = DotSquare<V, Reader>(x, bottom, row_bytes, bottom_rows, j, part, part.n, bottom_sum);
    }
  }
  V::Store(y, sum, Some{top_rows});
  V::Store(y + top_rows, bottom_sum, Some{bottom_rows});
}

// N registers of columns; the last one may be a part.
template <class V, class Reader, int N, class Part>
void GemvColumnsStripe(const float* x, const unsigned char* row, size_t row_bytes, size_t k, size_t first,
                       Part last, const void* next, float* y) {
  const auto* end = row + k * row_bytes;
  if (next == nullptr) next = row;  // in the cache already
  typename V::F sum[N];
#pragma GCC unroll 8
  for (int i = 0; i < N - 1; ++i) sum[i] = V::Load(y + i * V::kLanes, All{});
  sum[N - 1] = V::Load(y + (N - 1) * V::kLanes, last);
  for (size_t j = 0; j < k; ++j, row += row_bytes) {
    const auto value = V::Set(x[j]);
    PrefetchStream(row, end, next, 0, N * Reader::kBytesPerVector);
#pragma GCC unroll 8
    for (int i = 0; i < N - 1; ++i) {
      sum[i] = V::Fma(value, Reader::At(row, first + i * V::kLanes, All{}), sum[i]);
    }
    sum[N - 1] = V::Fma(value, Reader::At(row, first + (N - 1) * V::kLanes, last), sum[N - 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < N - 1; ++i) V::Store(y + i * V::kLanes, sum[i], All{});
  V::Store(y + (N - 1) * V::kLanes, sum[N - 1], last);
}

template <class V, class Reader, class Part>
using GemvColumnsFn = void (*)(const float*, const unsigned char*, size_t, size_t, size_t, Part, const void*,
                               float*);

template <class V, class Reader, class Part>
constexpr GemvColumnsFn<V, Reader, Part> kGemvColumns[] = {nullptr,
                                                           GemvColumnsStripe<V, Reader, 1, Part>,
                                                           GemvColumnsStripe<V, Reader, 2, Part>,
                                                           GemvColumnsStripe<V, Reader, 3, Part>,
                                                           GemvColumnsStripe<V, Reader, 4, Part>,
                                                           GemvColumnsStripe<V, Reader, 5, Part>,
                                                           GemvColumnsStripe<V, Reader, 6, Part>,
                                                           GemvColumnsStripe<V, Reader, 7, Part>,
                                                           GemvColumnsStripe<V, Reader, 8, Part>};

template <class V, class Reader>
void GemvColumns(const float* x, const void* block, size_t row_bytes, size_t cols, size_t k, const void* next,
                 float* y) {
  const auto* rows = static_cast<const unsigned char*>(block);
  for (size_t c = 0; c < cols; c += 8 * V::kLanes) {
    const size_t left = cols - c < 8 * V::kLanes ? cols - c : 8 * V::kLanes;
    const size_t registers = (left + V::kLanes - 1) / V::kLanes;
    const Some last{left - (registers - 1) * V::kLanes};
    if (last.n == V::kLanes) {
      kGemvColumns<V, Reader, All>[registers](x, rows, row_bytes, k, c, All{}, next, y + c);
    } else {
      kGemvColumns<V, Reader, Some>[registers](x, rows, row_bytes, k, c, last, next, y + c);
    }
  }
}

}  // namespace
}  // namespace mobilevlm
