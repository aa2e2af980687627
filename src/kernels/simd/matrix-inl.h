// Packing and the GEMM micro-kernel of kernels/kernels.h, written once over the vector class V of
// simd/rows-inl.h. V adds: Transpose (a kLanes x kLanes square in registers), kMaxRows (rows of the register
// tile) and, per format, a Reader with At(row, j, part): elements j .. of a row as floats (j is a multiple of
// kLanes), and kBytesPerVector.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd/gemv-inl.h"
#include "kernels/simd/prefetch-inl.h"
#include "kernels/simd/rows-inl.h"
#include "kernels/simd/wide_panel-inl.h"
#include "tensor/blocks.h"

namespace mobilevlm {
namespace {

// A panel is two registers wide: kMaxRows x 2 accumulators, the panel's two and one broadcast fill the
// register file.
template <class V>
constexpr size_t kPanelWidth = 2 * V::kLanes;

// One square: rows `rows` x kLanes inputs from j on, transposed to kLanes rows of the panel.
template <class V, class Reader, class Part>
inline void PackSquare(const unsigned char* block, size_t row_bytes, size_t rows, size_t j, Part part,
                       size_t k, float* panel) {
  typename V::F square[V::kLanes];
  LoadSquare<V, Reader>(block, row_bytes, rows, j, part, square);
  V::Transpose(square);
  const size_t count = k - j < V::kLanes ? k - j : V::kLanes;
  if (count == V::kLanes) {
#pragma GCC unroll 16
    for (size_t i = 0; i < V::kLanes; ++i) V::Store(panel + (j + i) * kPanelWidth<V>, square[i], All{});
  } else {
    for (size_t i = 0; i < count; ++i) V::Store(panel + (j + i) * kPanelWidth<V>, square[i], All{});
  }
}

template <class V, class Reader>
void PackRows(const void* block, size_t row_bytes, size_t rows, size_t k, const void* next, float* panel) {
  constexpr size_t kSteps = 64 / Reader::kBytesPerVector > 0 ? 64 / Reader::kBytesPerVector : 1;  // per line
  for (size_t half = 0; half < 2; ++half) {
    const size_t first = half * V::kLanes;
    const size_t left = rows > first ? rows - first : 0;
    const auto* rows_begin = static_cast<const unsigned char*>(block) + (left > 0 ? first * row_bytes : 0);
    float* out = panel + first;
    size_t j = 0;
    for (size_t step = 0; j + V::kLanes <= k; j += V::kLanes, ++step) {
      if (next != nullptr && step % kSteps == 0) {
        for (size_t r = first; r < first + V::kLanes; ++r) {
          Prefetch(next, r * row_bytes + step * Reader::kBytesPerVector);
        }
      }
      PackSquare<V, Reader>(rows_begin, row_bytes, left, j, All{}, k, out);
    }
    if (j < k) PackSquare<V, Reader>(rows_begin, row_bytes, left, j, Some{k - j}, k, out);
  }
}

template <class V, class Reader>
void PackColumns(const void* block, size_t row_bytes, size_t first, size_t cols, size_t k, float* panel) {
  const auto* row = static_cast<const unsigned char*>(block);
  for (size_t j = 0; j < k; ++j, row += row_bytes, panel += kPanelWidth<V>) {
    for (size_t c = 0; c < kPanelWidth<V>; c += V::kLanes) {
      if (c + V::kLanes <= cols) {
        V::Store(panel + c, Reader::At(row, first + c, All{}), All{});
      } else if (c < cols) {
        const Some part{cols - c};
        V::Store(panel + c, V::Keep(Reader::At(row, first + c, part), part), All{});
      } else {
        V::Store(panel + c, V::Set(0.0f), All{});
      }
    }
  }
}

template <class V, class Reader>
void Widen(const void* in, size_t n, float* out) {
  const auto* row = static_cast<const unsigned char*>(in);
  ForEachVector<V>(n, [&](size_t i, auto part) { V::Store(out + i, Reader::At(row, i, part), part); });
}

template <class V>
void ToQ8_0(const float* in, size_t n, void* out) {
  auto* bytes = static_cast<unsigned char*>(out);
  for (size_t i = 0; i < n; i += 32, bytes += sizeof(BlockQ8_0)) {
    const size_t count = n - i < 32 ? n - i : 32;
    auto largest = V::Set(0.0f);
    auto poison = V::Set(0.0f);  // becomes NaN by 0 * NaN and 0 * infinity
    ForEachVector<V>(count, [&](size_t j, auto part) {
      const auto v = V::Load(in + i + j, part);
      largest = V::Max(V::Max(v, V::Set(0.0f) - v), largest);
      poison = V::Fma(v, V::Set(0.0f), poison);
    });
    const float max = V::MaxLane(largest);
    const bool finite = V::Sum(poison) == 0.0f;
    const bool zero = !finite || max < 0x1p-100f;
    const auto inverse = V::Set(zero ? 0.0f : 127.0f / max);
    const float d = finite ? (zero ? 0.0f : max / 127.0f) : __builtin_nanf("");
    float rounded[32] = {};
    if (!zero) {
      ForEachVector<V>(count, [&](size_t j, auto part) {
        V::Store(rounded + j, V::Round(V::Load(in + i + j, part) * inverse), part);
      });
    }
    BlockQ8_0 block;
    V::ToHalf(&d, 1, &block.d);
    for (size_t j = 0; j < 32; ++j) block.qs[j] = static_cast<int8_t>(rounded[j]);
    __builtin_memcpy(bytes, &block, sizeof(block));
  }
}

// R rows x one panel. Each accumulator lane is one output's chain, in ascending k.
template <class V, int R>
void Tile(const float* x, const float* panel, size_t k, float* y, size_t y_stride, size_t cols) {
  using F = typename V::F;
  F sum[R][2];
  const bool whole = cols == kPanelWidth<V>;
  const Some left{cols < V::kLanes ? cols : V::kLanes};
  const Some right{cols - left.n};
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    float* row = y + static_cast<size_t>(r) * y_stride;
    sum[r][0] = whole ? V::Load(row, All{}) : V::Load(row, left);
    sum[r][1] = whole ? V::Load(row + V::kLanes, All{}) : V::Load(row + left.n, right);
  }
  for (size_t j = 0; j < k; ++j) {
    const F w0 = V::Load(panel + j * kPanelWidth<V>, All{});
    const F w1 = V::Load(panel + j * kPanelWidth<V> + V::kLanes, All{});
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F value = V::Set(x[static_cast<size_t>(r) * kTileStride + j]);
      sum[r][0] = V::Fma(value, w0, sum[r][0]);
      sum[r][1] = V::Fma(value, w1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    float* row = y + static_cast<size_t>(r) * y_stride;
    if (whole) {
      V::Store(row, sum[r][0], All{});
      V::Store(row + V::kLanes, sum[r][1], All{});
    } else {
      V::Store(row, sum[r][0], left);
      V::Store(row + left.n, sum[r][1], right);
    }
  }
}

template <class V>
using TileFn = void (*)(const float*, const float*, size_t, float*, size_t, size_t);

template <class V>
void GemmPanel(const float* x, size_t rows, const float* panel, size_t k, float* y, size_t y_stride,
               size_t cols) {
  static constexpr TileFn<V> kTiles[] = {nullptr,     Tile<V, 1>,  Tile<V, 2>, Tile<V, 3>, Tile<V, 4>,
                                         Tile<V, 5>,  Tile<V, 6>,  Tile<V, 7>, Tile<V, 8>, Tile<V, 9>,
                                         Tile<V, 10>, Tile<V, 11>, Tile<V, 12>};
  // As even as possible: 7 rows are 4 + 3, not 6 + 1, so that every tile has chains enough in flight.
  size_t tiles = (rows + V::kMaxRows - 1) / V::kMaxRows;
  for (size_t done = 0; tiles > 0; --tiles) {
    const size_t count = (rows - done + tiles - 1) / tiles;
    kTiles[count](x + done * kTileStride, panel, k, y + done * y_stride, y_stride, cols);
    done += count;
  }
}

template <class V>
constexpr KernelTable MakeTable(const char* name, const QuantKernels* quant,
                                const SplitKernels* split = nullptr) {
  return {
      .name = name,
      .panel_width = kPanelWidth<V>,
      .quant = quant,
      .split = split,
      .pack_rows = {PackRows<V, typename V::ReadF32>, PackRows<V, typename V::ReadF16>,
                    PackRows<V, typename V::ReadBF16>, PackRows<V, typename V::ReadQ8_0>},
      .pack_columns = {PackColumns<V, typename V::ReadF32>, PackColumns<V, typename V::ReadF16>,
                       PackColumns<V, typename V::ReadBF16>, PackColumns<V, typename V::ReadQ8_0>},
      .widen = {Widen<V, typename V::ReadF32>, Widen<V, typename V::ReadF16>, Widen<V, typename V::ReadBF16>,
                Widen<V, typename V::ReadQ8_0>},
      .gemm_panel = GemmPanel<V>,
      .gemv_rows = {GemvRows<V, typename V::ReadF32>, GemvRows<V, typename V::ReadF16>,
                    GemvRows<V, typename V::ReadBF16>, GemvRows<V, typename V::ReadQ8_0>},
      .gemv_columns = {GemvColumns<V, typename V::ReadF32>, GemvColumns<V, typename V::ReadF16>,
                       GemvColumns<V, typename V::ReadBF16>, GemvColumns<V, typename V::ReadQ8_0>},
      .gemm_wide_panel = {GemmWidePanel<V, typename V::ReadF32>, GemmWidePanel<V, typename V::ReadF16>,
                          GemmWidePanel<V, typename V::ReadBF16>},
      .to_half = V::ToHalf,
      .to_q8_0 = ToQ8_0<V>,
      .layer_norm = LayerNorm<V>,
      .rms_norm = RmsNorm<V>,
      .max = Max<V>,
      .exp_sum = ExpSum<V>,
      .scale = Scale<V>,
      .quick_gelu = QuickGelu<V>,
      .gelu = Gelu<V>,
      .silu = Silu<V>,
      .swiglu = SwiGlu<V>,
      .rope = Rope<V>,
      .weighted_sum = WeightedSum<V>,
  };
}

}  // namespace
}  // namespace mobilevlm
