// Quantised weights times quantised activations: the integer half of the contract (kernels.h is the float
// half and states the rules for every function).
//
// Activations are quantised per block of the weights' format, 32 inputs as a rule: q = x / d rounded to
// nearest even, d = max|x| / 127. With packed weights (kernels/packed.h) the product of one row of x and one
// output is, for blocks b in ascending order and their sub-blocks s,
//
//     acc = sum of (q_w - offset) * q_x                          exact, 32-bit integers
//     y   = fma(float(acc), scale_w[b,s] * d[b], y)
//     y   = fma(min_w[b,s], d[b] * sum of q_x over s, y)          formats with a min only
//
// Bytes lie at any address, floats, integers and packed units are aligned as their types.
//
// Integer sums do not depend on their order, and the float chain is written out, so that every table gives
// the same bits, for one row or many.
#pragma once

#include "kernels/packed.h"
#include "kernels/sums.h"

namespace mobilevlm {

// The most rows any table takes at once.
constexpr size_t kMostQuantRows = 16;

// The most inputs that gemm takes at once: two unpacked panels of them, 18 KiB with their scales, stay in the
// first-level cache while all rows pass. ops/linear_quantised.cc cuts the inputs accordingly.
constexpr size_t kMostGemmInputs = 512;

// 1 to QuantKernels::tile_rows rows of quantised activations, side by side.
struct QuantisedRows {
  size_t rows;
  const int8_t* q;     // [k / 4][rows][4], or [k / block][rows][block] where whole_blocks says so
  const float* scale;  // [k / block][rows]
  // Arrays that are always there; what they hold counts only where it says so.
  const int32_t* start;      // [k / block][sub_blocks][rows]: where integer sums start, -offset * sum of q_x;
                             // not for gemm of formats with signed_weights
  const float* scaled_sums;  // [k / block][sub_blocks][rows]: d * sum of q_x; formats with a min only
};

// One panel (16 outputs) over some inputs, unpacked: what every weight format looks like to gemm.
struct UnpackedPanel {
  uint8_t* quants;  // [k / 4][16][4]: q as packed, or the signed q - offset of formats with signed_weights
  float* scales;    // [k / block][sub_blocks][16]
  float* mins;      // the same; of formats without a min, what unpack has to tell gemm of the same table
};

// Products of a few rows straight from packed weights: what a server decodes together. Weights are unpacked
// once for all rows and on the way, as for one row, so that the product is as quick as memory.
struct FewRowKernels {
  size_t most_rows;

  // QuantKernels::quantise_rows for 2 to most_rows rows, and never in whole_blocks.
  void (*quantise_rows)(const float* x, size_t x_stride, size_t rows, size_t k, size_t block, int8_t* q,
                        float* scale, int32_t* sums);

  // y[r][0 .. 15] += 2 to most_rows rows times one packed panel over k inputs, a multiple of the unit. Rows
  // of y follow each other.
  void (*multiply[kPackedFormatCount])(const void* panel, size_t k, const QuantisedRows& x, float* y);
};

struct QuantKernels {
  const char* name;
  bool signed_weights[kPackedFormatCount];  // unpacked weights are signed, gemm takes no start
  bool whole_blocks;  // how quantise_rows lays q out, see QuantisedRows; with one row both are the same
  size_t tile_rows;   // the rows that gemm takes at most

  // Quantises rows <= tile_rows rows of k inputs, x_stride apart, in blocks of kQuantBlock or kLongBlock; k
  // is a multiple of the block. q, scale: as QuantisedRows has them, sums: [k / 16][rows], of 16 inputs each.
  // A block that holds a NaN or an infinity becomes q = 0 with the scale NaN; one below 2^-100 becomes 0.
  void (*quantise_rows)(const float* x, size_t x_stride, size_t rows, size_t k, size_t block, int8_t* q,
                        float* scale, int32_t* sums);

  // y[0 .. 15] += one row times one packed panel over k inputs, a multiple of the unit. x.rows is 1.
  void (*gemv[kPackedFormatCount])(const void* panel, size_t k, const QuantisedRows& x, float* y);

  const FewRowKernels* few_rows;  // nullptr: gemm is as good

  // Unpacks k inputs of a panel, a multiple of the unit.
  void (*unpack[kPackedFormatCount])(const void* panel, size_t k, const UnpackedPanel& out);

  // y[r][0 .. 31] = start[r][0 .. 31] + all rows times two unpacked panels over k inputs, 1 block to
  // kMostGemmInputs; x.rows is at most tile_rows. The stride of start may be 0: a bias. start may be y, else
  // they are disjoint.
  using GemmFn = void (*)(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start,
                          PairSums y);
  GemmFn gemm[kPackedFormatCount];

  // A thread calls begin_gemm before its first gemm of formats with blocks and sub-blocks like these, and
  // end_gemm after the last: the CPU may have registers to set up, which takes longer than a small product.
  void (*begin_gemm)(size_t block, int sub_blocks);
  void (*end_gemm)();
};

// Tables whose gemm asks only how the scales of a format lie.
struct GemmPerLayout {
  QuantKernels::GemmFn blocks[2][2];  // of 32; index: [sub_blocks - 1][has_min]
  QuantKernels::GemmFn longer;        // blocks of kLongBlock

  constexpr void SetAll(QuantKernels::GemmFn (&gemm)[kPackedFormatCount]) const {
    for (int f = 0; f < kPackedFormatCount; ++f) {
      const PackedTraits& traits = kPackedTraits[f];
      gemm[f] = traits.block == kQuantBlock ? blocks[traits.sub_blocks - 1][traits.has_min] : longer;
    }
  }
};

}  // namespace mobilevlm
