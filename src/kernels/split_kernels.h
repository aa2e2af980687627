// Float products on units that multiply bfloat16 only (AMX-BF16), sixteen times as fast as the vector units
// multiply floats (kernels.h is the contract's float half and states the rules for every function).
//
// A number is split into the sum of two bfloat16 of 8 significant bits each, high = x rounded to nearest even
// and low = x - high rounded likewise. A half has 11 significant bits and a subnormal one is a normal
// bfloat16, so weights in F16 and BF16 lose nothing; an activation keeps 16 to 17 bits: its error is at most
// 2^-17 of it. The product of two such sums without low * low, which is below 2^-17 of the whole, is for
// steps of 32 inputs in ascending order
//
//     for (a, b) in (x low, w high), (x high, w high), (x high, w low):
//       even = sum of a[j] * b[j] over the even j of the step, odd = over the odd ones
//       y    = y + (even + odd)
//
// each sum a chain of fused multiply-adds in ascending j, rounded to nearest even, subnormal numbers taken
// and given as 0: what TDPBF16PS computes, whose bits the scalar code gives too. The order depends on nothing
// else, so one row and many, one thread and several agree. Where high is infinite or NaN, low is 0; an
// infinite activation gives NaN where it meets a weight whose low part is 0.
//
// Operands lie as tiles of 16 x 32 bfloat16, 1 KiB each, those of one step behind each other, so that both
// are read from front to back:
//
//     32 rows of x:               [step][rows 0 .. 15, 16 .. 31][high, low][row][32 inputs]
//     a pair of panels, 32 outputs: [step][panel][high, low][pair of inputs][16 outputs][2 inputs]
#pragma once

#include "kernels/kernels.h"
#include "kernels/sums.h"

namespace mobilevlm {

constexpr size_t kSplitTileRows = 16;
constexpr size_t kSplitRows = 2 * kSplitTileRows;  // that gemm takes at most; outputs of a pair of panels
constexpr size_t kSplitInputs = 32;                // of a step
constexpr size_t kSplitTile = kSplitTileRows * kSplitInputs;
constexpr size_t kSplitStep = 4 * kSplitTile;  // numbers of 16 bits in a step of rows or of a pair of panels

constexpr size_t SplitSteps(size_t k) { return (k + kSplitInputs - 1) / kSplitInputs; }

struct SplitKernels {
  // rows <= kSplitRows rows of k inputs, x_stride apart, to SplitSteps(k) steps; rows and inputs that are not
  // there become 0. out: 64-byte aligned.
  void (*split_rows)(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* out);

  // The pair of panels of rows <= kSplitRows rows (outputs) of k elements in one format, row_bytes apart,
  // likewise. Index: KernelFormat, up to kFormatBF16; F32 is rounded as x is. next: where the following rows
  // start: they are prefetched, never read; or nullptr.
  void (*split_weights[kFormatBF16 + 1])(const void* block, size_t row_bytes, size_t rows, size_t k,
                                         const void* next, uint16_t* panels);

  // y[r][c] = start[r][c] + x times the panels over all steps, for r < rows and c < cols, both 1 to
  // kSplitRows. start has kSplitRows rows (its stride may be 0: a bias) of kSplitRows floats; it may be y. x
  // and panels: 64-byte aligned.
  void (*gemm)(const uint16_t* x, size_t rows, const uint16_t* panels, size_t steps, StartSums start,
               PairSums y, size_t cols);

  // A thread calls begin before its first gemm and end after the last.
  void (*begin)();
  void (*end)();
};

}  // namespace mobilevlm
