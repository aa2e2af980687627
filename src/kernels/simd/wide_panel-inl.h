// A few rows of x times a wide panel (kernels/kernels.h), straight from its format, written once over the
// vector class V of simd/rows-inl.h and simd/matrix-inl.h: weights are converted once for all rows and on the
// way, so that the product is as quick as memory.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd/prefetch-inl.h"
#include "kernels/simd/rows-inl.h"

namespace mobilevlm {
namespace {

// Columns [first, first + N registers) of the panel, R rows. Each accumulator lane is one output's chain, in
// ascending k.
template <class V, class Reader, int R, int N>
inline void WideStripe(const float* x, const unsigned char* panel, size_t k, size_t first, const void* next,
                       float* y, size_t y_stride, size_t cols) {
  using F = typename V::F;
  constexpr size_t kRowBytes = Reader::kBytesPerVector * (kWidePanel / V::kLanes);
  const auto part = [&](int n) {
    const size_t begin = first + static_cast<size_t>(n) * V::kLanes;
    const size_t left = cols > begin ? cols - begin : 0;
    return Some{left < V::kLanes ? left : V::kLanes};
  };
  F sum[R][N];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    float* row = y + static_cast<size_t>(r) * y_stride + first;
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const size_t at = static_cast<size_t>(n) * V::kLanes;
      sum[r][n] = part(n).n > 0 ? V::Load(row + at, part(n)) : V::Set(0.0f);
    }
  }
  const unsigned char* end = panel + k * kRowBytes;
  if (next == nullptr) next = panel;  // in the cache already
  for (size_t j = 0; j < k; ++j, panel += kRowBytes) {
    PrefetchStream(panel, end, next, first / V::kLanes * Reader::kBytesPerVector,
                   N * Reader::kBytesPerVector);
    F w[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      w[n] = Reader::At(panel, first + static_cast<size_t>(n) * V::kLanes, All{});
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F value = V::Set(x[static_cast<size_t>(r) * kTileStride + j]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[r][n] = V::Fma(value, w[n], sum[r][n]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    float* row = y + static_cast<size_t>(r) * y_stride + first;
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const size_t at = static_cast<size_t>(n) * V::kLanes;
      if (part(n).n == V::kLanes) {
        V::Store(row + at, sum[r][n], All{});
      } else if (part(n).n > 0) {
        V::Store(row + at, sum[r][n], part(n));
      }
    }
  }
}

// Few rows take four registers of columns, many two: what the register file holds.
template <class V, class Reader, int R>
void WideTile(const float* x, const unsigned char* panel, size_t k, const void* next, float* y,
              size_t y_stride, size_t cols) {
  constexpr int kRegisters = 2 * R < static_cast<int>(V::kMaxRows) ? 4 : 2;
  for (size_t c = 0; c < cols; c += kRegisters * V::kLanes) {
    WideStripe<V, Reader, R, kRegisters>(x, panel, k, c, next, y, y_stride, cols);
  }
}

// What is used for R rows; no tile of more than kMaxRows is compiled, because none is asked for.
template <class V, class Reader, size_t R>
constexpr auto* kWideTile = WideTile<V, Reader, static_cast<int>(R < V::kMaxRows ? R : V::kMaxRows)>;

using WideTileFn = void (*)(const float*, const unsigned char*, size_t, const void*, float*, size_t, size_t);

template <class V, class Reader>
void GemmWidePanel(const float* x, size_t rows, const void* panel, size_t k, const void* next, float* y,
                   size_t y_stride, size_t cols) {
  static_assert(V::kMaxRows <= 12);
  static constexpr WideTileFn kTiles[] = {nullptr,
                                          kWideTile<V, Reader, 1>,
                                          kWideTile<V, Reader, 2>,
                                          kWideTile<V, Reader, 3>,
                                          kWideTile<V, Reader, 4>,
                                          kWideTile<V, Reader, 5>,
                                          kWideTile<V, Reader, 6>,
                                          kWideTile<V, Reader, 7>,
                                          kWideTile<V, Reader, 8>,
                                          kWideTile<V, Reader, 9>,
                                          kWideTile<V, Reader, 10>,
                                          kWideTile<V, Reader, 11>,
                                          kWideTile<V, Reader, 12>};
  size_t tiles = (rows + V::kMaxRows - 1) / V::kMaxRows;
  for (size_t done = 0; tiles > 0; --tiles) {  // as even as possible, as in GemmPanel
    const size_t count = (rows - done + tiles - 1) / tiles;
    kTiles[count](x + done * kTileStride, static_cast<const unsigned char*>(panel), k,
                  done == 0 ? next : nullptr, y + done * y_stride, y_stride, cols);
    done += count;
  }
}

}  // namespace
}  // namespace mobilevlm
