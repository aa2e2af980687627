// GEMM on AMX: TDPBSSD multiplies 16 rows x 64 inputs by 64 inputs x 16 outputs, eight times the work that
// VPDPBUSD does in the same time. Tiles cannot be read but through memory, and the scales of every block are
// multiplied by AVX-512 as before, so blocks of 32 gain a factor of two and longer ones more. It has nothing
// to add for one row, so the other kernels are those of avx512vnni.
#include "kernels/tables.h"
#include "kernels/x86/quant_avx512vnni-inl.h"
#include "kernels/x86/tiles-inl.h"

namespace mobilevlm {
namespace {

constexpr size_t kTileDim = 16;                    // rows of activations, outputs of a panel
constexpr size_t kTileInts = kTileDim * kTileDim;  // of sums
constexpr size_t kMostTileBytes = 64;              // inputs in one row of a tile
// Integer sums that are made before the floats take them: 8 KiB, which stay in the first-level cache.
constexpr size_t kSteps = 4;

// How gemm wants its operands: signed weights, and rows of activations whose blocks are whole.
struct AmxOperands : Avx512Vnni {
  static constexpr bool kSigned = true;
  static constexpr bool kWholeBlocks = true;
  template <int value>
  static Bytes Minus(Bytes v) {
    return _mm512_sub_epi8(v, _mm512_set1_epi8(static_cast<char>(value)));
  }
};

// Tiles 0 to 3: sums; 4 and 5: activations; 6 and 7: weights of two panels.
void BeginGemm(size_t block, int sub_blocks) {
  const size_t sub = block / static_cast<size_t>(sub_blocks);
  const size_t inputs = sub < kMostTileBytes ? sub : kMostTileBytes;
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<uint8_t>(t < 6 ? kTileDim : inputs / 4);
    config.row_bytes[t] = static_cast<uint16_t>(t == 4 || t == 5 ? inputs : 4 * kTileDim);
  }
  FinishWrites();
  _tile_loadconfig(&config);
}
void EndGemm() { _tile_release(); }

// Where the operands of one step, a sub-block, are.
struct Operands {
  const int8_t* x;
  size_t x_stride;
  const uint8_t *left, *right;  // the two panels
};

// Sums of one step into tiles 0 and 1, or 2 and 3. Tile numbers are part of the instructions.
#define MVLM_MULTIPLY_STEP(sum_left, sum_right, rows_tile)       \
  _tile_zero(sum_left);                                          \
  _tile_zero(sum_right);                                         \
  for (size_t i = 0; i < kInputs; i += kMostTileBytes) {         \
    _tile_loadd(rows_tile, at.x + i, at.x_stride);               \
    _tile_loadd(6, at.left + i * kPackedOutputs, kPackedGroup);  \
    _tile_loadd(7, at.right + i * kPackedOutputs, kPackedGroup); \
    _tile_dpbssd(sum_left, rows_tile, 6);                        \
    _tile_dpbssd(sum_right, rows_tile, 7);                       \
  }

using StepSums = int32_t[2][kTileInts];  // of two panels, [rows, outputs]

// The activations of the step that comes kSteps later: only the second-level cache has them, and tile loads
// would wait.
template <size_t kInputs>
inline void PrefetchAhead(const Operands& at) {
  for (size_t byte = 0; byte < kInputs * kTileDim; byte += 64) {
    __builtin_prefetch(at.x + kSteps * kInputs * kTileDim + byte);
  }
}

// The integer sums of `steps` steps. A pair of tiles is stored while the next pair is multiplied.
template <size_t kInputs, class At>
inline void MultiplySteps(size_t steps, const At& operands, StepSums* sums) {
  for (size_t s = 0; s < steps; ++s) {
    const Operands at = operands(s);
    PrefetchAhead<kInputs>(at);
    if (s % 2 == 0) {
      MVLM_MULTIPLY_STEP(0, 1, 4)
      if (s == 0) continue;
      _tile_stored(2, sums[s - 1][0], 4 * kTileDim);
      _tile_stored(3, sums[s - 1][1], 4 * kTileDim);
    } else {
      MVLM_MULTIPLY_STEP(2, 3, 5)
      _tile_stored(0, sums[s - 1][0], 4 * kTileDim);
      _tile_stored(1, sums[s - 1][1], 4 * kTileDim);
    }
  }
  if (steps % 2 == 1) {
    _tile_stored(0, sums[steps - 1][0], 4 * kTileDim);
    _tile_stored(1, sums[steps - 1][1], 4 * kTileDim);
  } else {
    _tile_stored(2, sums[steps - 1][0], 4 * kTileDim);
    _tile_stored(3, sums[steps - 1][1], 4 * kTileDim);
  }
}
#undef MVLM_MULTIPLY_STEP

// The float chain of kernels/quant_kernels.h over the steps of one panel. scale, scaled_sums, scales and mins
// start at the first step.
template <int kRows, int kSubs, bool kMin>
void AddSteps(const StepSums* sums, size_t panel, size_t steps, const QuantisedRows& x,
              const UnpackedPanel& weights, StartSums from, PairSums to) {
  const size_t column = panel * kPackedOutputs;
  __m512 sum[kRows];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) sum[r] = _mm512_loadu_ps(from.row + r * from.stride + column);
  for (size_t s = 0; s < steps; ++s) {
    const int32_t* acc = sums[s][panel];
    const float* scale = x.scale + s / kSubs * x.rows;
    const float* scaled_sums = x.scaled_sums + s * x.rows;
    const __m512 w_scale = _mm512_loadu_ps(weights.scales + s * kPackedOutputs);
    __m512 w_min;
    if constexpr (kMin) w_min = _mm512_loadu_ps(weights.mins + s * kPackedOutputs);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const __m512 value = _mm512_cvtepi32_ps(_mm512_load_si512(acc + r * kTileDim));
      sum[r] = _mm512_fmadd_ps(value, w_scale * _mm512_set1_ps(scale[r]), sum[r]);
      if constexpr (kMin) sum[r] = _mm512_fmadd_ps(w_min, _mm512_set1_ps(scaled_sums[r]), sum[r]);
    }
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) _mm512_storeu_ps(to.row + r * to.stride + column, sum[r]);
}

using AddStepsFn = void (*)(const StepSums*, size_t, size_t, const QuantisedRows&, const UnpackedPanel&,
                            StartSums, PairSums);
template <int kSubs, bool kMin>
constexpr AddStepsFn kAddSteps[] = {nullptr,
                                    AddSteps<1, kSubs, kMin>,
                                    AddSteps<2, kSubs, kMin>,
                                    AddSteps<3, kSubs, kMin>,
                                    AddSteps<4, kSubs, kMin>,
                                    AddSteps<5, kSubs, kMin>,
                                    AddSteps<6, kSubs, kMin>,
                                    AddSteps<7, kSubs, kMin>,
                                    AddSteps<8, kSubs, kMin>,
                                    AddSteps<9, kSubs, kMin>,
                                    AddSteps<10, kSubs, kMin>,
                                    AddSteps<11, kSubs, kMin>,
                                    AddSteps<12, kSubs, kMin>,
                                    AddSteps<13, kSubs, kMin>,
                                    AddSteps<14, kSubs, kMin>,
                                    AddSteps<15, kSubs, kMin>,
                                    AddSteps<16, kSubs, kMin>};

// The operands from input `begin` on.
template <size_t kBlock, int kSubs>
inline QuantisedRows RowsFrom(const QuantisedRows& x, size_t begin) {
  const size_t block = begin / kBlock, sums = block * kSubs * x.rows;
  return {x.rows, x.q + begin * x.rows, x.scale + block * x.rows, x.start + sums, x.scaled_sums + sums};
}
template <size_t kBlock, int kSubs>
inline UnpackedPanel PanelFrom(const UnpackedPanel& panel, size_t begin) {
  const size_t scales = begin / kBlock * kSubs * kPackedOutputs;
  return {panel.quants + begin * kPackedOutputs, panel.scales + scales, panel.mins + scales};
}

template <size_t kBlock, int kSubs, bool kMin>
void AmxGemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start, PairSums y) {
  FinishWrites();
  constexpr size_t kInputs = kBlock / kSubs;
  alignas(64) StepSums sums[kSteps];
  alignas(
      64) float between[kTileDim * 2 * kPackedOutputs];  // the rows of y may fight for one set of the cache
  // A tile always has sixteen rows. Those behind x's last are the start of the next block, whatever it holds,
  // and nobody reads their sums; where no memory follows, the rows are copied.
  const int8_t* const end = x.q + k * x.rows;
  alignas(64) int8_t copy[kTileDim * kBlock];
  const auto operands_from = [&](size_t begin) {
    return [&, begin](size_t step) {
      const size_t input = begin + step * kInputs, block = input / kBlock * kBlock;
      const int8_t* rows = x.q + block * x.rows;
      if (static_cast<size_t>(end - rows) < sizeof(copy)) {
        __builtin_memcpy(copy, rows, x.rows * kBlock);
        FinishWrites();
        rows = copy;
      }
      return Operands{rows + (input - block), kBlock, panels[0].quants + input * kPackedOutputs,
                      panels[1].quants + input * kPackedOutputs};
    };
  };
  for (size_t begin = 0; begin < k; begin += kSteps * kInputs) {
    const size_t left = (k - begin) / kInputs, steps = left < kSteps ? left : kSteps;
    MultiplySteps<kInputs>(steps, operands_from(begin), sums);
    const QuantisedRows part = RowsFrom<kBlock, kSubs>(x, begin);
    const StartSums from = begin == 0 ? start : StartSums{between, 2 * kPackedOutputs};
    const PairSums to = left <= kSteps ? y : PairSums{between, 2 * kPackedOutputs};
    for (size_t p = 0; p < 2; ++p) {
      kAddSteps<kSubs, kMin>[x.rows](sums, p, steps, part, PanelFrom<kBlock, kSubs>(panels[p], begin), from,
                                     to);
    }
  }
}

constexpr QuantKernels MakeAmxKernels() {
  QuantKernels kernels = MakeQuantKernels<Avx512Vnni>("amx");
  SetOperands<AmxOperands>(kernels);
  kernels.few_rows = &kAvx512VnniFewRowKernels;
  kernels.tile_rows = kTileDim;
  constexpr GemmPerLayout kGemm{{{AmxGemm<kQuantBlock, 1, false>, AmxGemm<kQuantBlock, 1, true>},
                                 {AmxGemm<kQuantBlock, 2, false>, AmxGemm<kQuantBlock, 2, true>}},
                                AmxGemm<kLongBlock, 1, false>};
  kGemm.SetAll(kernels.gemm);
  kernels.begin_gemm = BeginGemm;
  kernels.end_gemm = EndGemm;
  return kernels;
}

}  // namespace

constinit const QuantKernels kAmxQuantKernels = MakeAmxKernels();

}  // namespace mobilevlm
