// GEMM on the int8 matrix instructions: SMMLA multiplies 2 rows x 8 inputs by 8 inputs x 2 outputs, twice the
// work of SDOT. It has nothing to add for one row, so the other kernels are those of dotprod.
#include "kernels/arm/quant_dotprod-inl.h"
#include "kernels/tables.h"

namespace mobilevlm {
namespace {

// Six rows are three pairs: 24 accumulators of 2 rows x 2 outputs, three activations, the weights as they
// come.
constexpr size_t kTilePairs = 3;
constexpr size_t kPanelQuads = kPackedOutputs / 4;

// Two groups of a panel, four outputs: two groups of four inputs become eight inputs of two outputs, twice.
struct Weights8 {
  int8x16_t outputs01, outputs23;
};
inline Weights8 LoadWeights(const uint8_t* group, size_t quad) {
  const int32x4_t first = vreinterpretq_s32_u8(vld1q_u8(group + 16 * quad));
  const int32x4_t second = vreinterpretq_s32_u8(vld1q_u8(group + kPackedGroup + 16 * quad));
  return {vreinterpretq_s8_s32(vzip1q_s32(first, second)), vreinterpretq_s8_s32(vzip2q_s32(first, second))};
}

// Eight inputs of two rows; q is at the first row, its next group of inputs `group` bytes on. A row that is
// alone is read alone, the other one is zeros.
inline int8x16_t LoadRows(const int8_t* q, size_t group, bool alone) {
  int64_t first = 0, second = 0;
  __builtin_memcpy(&first, q, alone ? 4 : 8);
  __builtin_memcpy(&second, q + group, alone ? 4 : 8);
  const int32x4_t low = vreinterpretq_s32_s64(vsetq_lane_s64(first, vdupq_n_s64(0), 0));
  const int32x4_t high = vreinterpretq_s32_s64(vsetq_lane_s64(second, vdupq_n_s64(0), 0));
  return vreinterpretq_s8_s32(vzip1q_s32(low, high));
}

// kRows rows from row `first` on, times one unpacked panel: the chain of kernels/quant_kernels.h.
template <int kRows, int kBlock, int kSubs, bool kMin>
void MatrixTile(const UnpackedPanel& panel, size_t k, const QuantisedRows& x, size_t first, float* y,
                size_t y_stride) {
  constexpr size_t kPairs = (kRows + 1) / 2;
  const size_t rows = x.rows, subs = k / kBlock * kSubs;
  const uint8_t* weights = panel.quants;
  const int8_t* q = x.q + first * 4;
  for (size_t s = 0; s < subs; ++s) {
    int32x4_t acc[kPairs][kPanelQuads][2];
#pragma GCC unroll 3
    for (auto& pair : acc) {
#pragma GCC unroll 4
      for (auto& quad : pair) quad[0] = quad[1] = vdupq_n_s32(0);
    }
#pragma GCC unroll 1  // more, and gcc runs out of registers
    for (size_t eight = 0; eight < kBlock / 8 / kSubs; ++eight, weights += 2 * kPackedGroup, q += 8 * rows) {
      int8x16_t values[kPairs];
#pragma GCC unroll 3
      for (size_t p = 0; p < kPairs; ++p) values[p] = LoadRows(q + 8 * p, 4 * rows, 2 * p + 1 == kRows);
#pragma GCC unroll 4
      for (size_t c = 0; c < kPanelQuads; ++c) {
        const Weights8 w = LoadWeights(weights, c);
#pragma GCC unroll 3
        for (size_t p = 0; p < kPairs; ++p) {
          acc[p][c][0] = vmmlaq_s32(acc[p][c][0], values[p], w.outputs01);
          acc[p][c][1] = vmmlaq_s32(acc[p][c][1], values[p], w.outputs23);
        }
      }
    }
    const float* scale = x.scale + s / kSubs * rows + first;
    const float* scaled_sums = x.scaled_sums + s * rows + first;
#pragma GCC unroll 4
    for (size_t c = 0; c < kPanelQuads; ++c) {
      const size_t at = s * kPackedOutputs + 4 * c;
      const float32x4_t w_scale = vld1q_f32(panel.scales + at);
      float32x4_t w_min;
      if constexpr (kMin) w_min = vld1q_f32(panel.mins + at);
#pragma GCC unroll 6
      for (size_t r = 0; r < kRows; ++r) {
        const int64x2_t left = vreinterpretq_s64_s32(acc[r / 2][c][0]);
        const int64x2_t right = vreinterpretq_s64_s32(acc[r / 2][c][1]);
        const int64x2_t sums = r % 2 == 0 ? vzip1q_s64(left, right) : vzip2q_s64(left, right);
        float* out = y + r * y_stride + 4 * c;
        float32x4_t sum = vfmaq_f32(vld1q_f32(out), vcvtq_f32_s32(vreinterpretq_s32_s64(sums)),
                                    vmulq_n_f32(w_scale, scale[r]));
        if constexpr (kMin) sum = vfmaq_n_f32(sum, w_min, scaled_sums[r]);
        vst1q_f32(out, sum);
      }
    }
  }
}

template <int kBlock, int kSubs, bool kMin>
void MatrixGemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start, PairSums y) {
  using Tile = void (*)(const UnpackedPanel&, size_t, const QuantisedRows&, size_t, float*, size_t);
  static constexpr Tile kTiles[] = {nullptr,
                                    MatrixTile<1, kBlock, kSubs, kMin>,
                                    MatrixTile<2, kBlock, kSubs, kMin>,
                                    MatrixTile<3, kBlock, kSubs, kMin>,
                                    MatrixTile<4, kBlock, kSubs, kMin>,
                                    MatrixTile<5, kBlock, kSubs, kMin>,
                                    MatrixTile<6, kBlock, kSubs, kMin>};
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t o = 0; o < 2 * kPackedOutputs; ++o) y.row[r * y.stride + o] = start.row[r * start.stride + o];
  }
  for (size_t panel = 0; panel < 2; ++panel) {
    float* out = y.row + panel * kPackedOutputs;
    // Tiles as even as possible, in whole pairs of rows.
    const size_t pairs = (x.rows + 1) / 2;
    size_t tiles = (pairs + kTilePairs - 1) / kTilePairs;
    for (size_t done = 0; tiles > 0; --tiles) {
      const size_t left = x.rows - done, even = ((left + 1) / 2 + tiles - 1) / tiles * 2;
      const size_t count = even < left ? even : left;
      kTiles[count](panels[panel], k, x, done, out + done * y.stride, y.stride);
      done += count;
    }
  }
}

constexpr QuantKernels WithMatrixGemm(QuantKernels kernels) {
  kernels.name = "i8mm";
  constexpr GemmPerLayout kGemm{{{MatrixGemm<kQuantBlock, 1, false>, MatrixGemm<kQuantBlock, 1, true>},
                                 {MatrixGemm<kQuantBlock, 2, false>, MatrixGemm<kQuantBlock, 2, true>}},
                                MatrixGemm<kLongBlock, 1, false>};
  kGemm.SetAll(kernels.gemm);
  return kernels;
}

}  // namespace

constinit const QuantKernels kI8mmQuantKernels = WithMatrixGemm(MakeQuantKernels<DotprodQuant>("dotprod"));

}  // namespace mobilevlm
