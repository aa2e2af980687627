// The whole contract between the ops and the CPU: one table of function pointers, chosen once at start
// (kernels/dispatch.h). Everything above this file is portable C++; everything below it is one file or two
// per instruction set. The table "generic" is plain scalar C++: the documentation, the fallback and the
// oracle of the others.
//
// Included by files that are compiled with ISA flags, hence C headers and plain types only.
//
// Contract of every function unless its comment says otherwise:
// - pointers to float are aligned as float, others not at all (quant_kernels.h: to integers too); arrays may
// have any length, 0 included;
// - nothing is read or written outside the stated ranges; inputs and outputs are the same array or disjoint;
// - NaN and infinity propagate as IEEE arithmetic has it; the result depends on the arguments alone, so
//   that sums run in one order per table (no thread count, alignment or neighbour changes a bit);
// - no state, no allocation: any number of threads may call.
//
// Float matrix products work on panels. A panel holds the weights of up to panel_width outputs for up to
// kPanelK consecutive inputs, widened to float and transposed, [k][panel_width]. Every float format becomes
// the same panel. A wide panel holds kWidePanel outputs in their own format, [k][kWidePanel]: how the
// language model keeps its float weights (ops/float_panels.h). Quantised weights have panels of their own:
// kernels/packed.h, kernels/quant_kernels.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mobilevlm {

// Inputs per panel: a multiple of every block size, and 32 outputs of it fill a 32 KiB L1 cache.
constexpr size_t kPanelK = 256;
// Rows of x that gemm_panel takes at once.
constexpr size_t kTileRows = 12;
// Floats between two rows of the x tile. Fixed, so that addresses are constants in the inner loop; not a
// multiple of 4 KiB, so that the rows do not fall into one cache set.
constexpr size_t kTileStride = kPanelK + 16;

// Outputs of a wide panel: a multiple of every panel_width.
constexpr size_t kWidePanel = 64;

// The element formats kernels read; the order indexes pack_rows and widen.
enum KernelFormat { kFormatF32, kFormatF16, kFormatBF16, kFormatQ8_0, kFormatCount };

// Packs the block [rows, k] that starts at `block` (its rows row_bytes apart) into `panel`:
// panel[j * panel_width + r] = block[r][j]; the columns rows .. panel_width - 1 become 0.
// rows <= panel_width, k <= kPanelK; for Q8_0 the block starts at a quant block and k is a multiple of 32.
// `next` is where the following block starts (same row_bytes): it is prefetched, never read; or nullptr.
// panel is 64-byte aligned.
using PackRowsFn = void (*)(const void* block, size_t row_bytes, size_t rows, size_t k, const void* next,
                            float* panel);

// The same panel from a matrix that has k as its rows (the values of attention): its columns
// [first, first + cols), first a multiple of panel_width and cols <= panel_width:
// panel[j * panel_width + c] = block[j][first + c], and 0 from c = cols on. Rows of Q8_0 are whole blocks.
using PackColumnsFn = void (*)(const void* block, size_t row_bytes, size_t first, size_t cols, size_t k,
                               float* panel);

// n elements as float, exact; Q8_0: n a multiple of 32.
using WidenFn = void (*)(const void* in, size_t n, float* out);

struct QuantKernels;  // kernels/quant_kernels.h
struct SplitKernels;  // kernels/split_kernels.h

struct KernelTable {
  const char* name;           // "generic", "avx2", ...: what MOBILEVLM_ISA and --version say
  size_t panel_width;         // outputs of one panel; a multiple of 8
  const QuantKernels* quant;  // quantised weights times quantised activations
  const SplitKernels*
      split;  // float products as products of bfloat16; nullptr: the CPU gains nothing by them

  PackRowsFn pack_rows[kFormatCount];
  PackColumnsFn pack_columns[kFormatCount];
  WidenFn widen[kFormatCount];

  // y[r][c] += sum over j of x[r * kTileStride + j] * panel[j * panel_width + c], each sum one chain in
  // ascending j that starts at the old y: calls for successive panels continue it without a seam.
  // rows <= kTileRows, cols <= panel_width, k <= kPanelK; rows of y are y_stride floats apart.
  void (*gemm_panel)(const float* x, size_t rows, const float* panel, size_t k, float* y, size_t y_stride,
                     size_t cols);

  // One row of x, without a panel. The sums are the chains of gemm_panel, to the bit.
  // y[r] += sum over j of x[j] * block[r][j]; rows <= panel_width, k <= kPanelK; next as for pack_rows. Rows
  // of Q8_0 are whole blocks, k is any.
  void (*gemv_rows[kFormatCount])(const float* x, const void* block, size_t row_bytes, size_t rows, size_t k,
                                  const void* next, float* y);
  // y[c] += sum over j of x[j] * block[j][c], for c < cols. `next` is where the reading goes on when the
  // block ends: its beginning is prefetched, never read; or nullptr.
  void (*gemv_columns[kFormatCount])(const float* x, const void* block, size_t row_bytes, size_t cols,
                                     size_t k, const void* next, float* y);

  // Few rows of x times a block of a wide panel, read once. The sums are the chains of gemm_panel, to the
  // bit. y[r][c] += sum over j of x[r * kTileStride + j] * panel[j][c], rows <= kTileRows, k <= kPanelK, cols
  // <= kWidePanel; rows of y are y_stride floats apart; next as for gemv_columns. Index: F32, F16, BF16.
  void (*gemm_wide_panel[kFormatBF16 + 1])(const float* x, size_t rows, const void* panel, size_t k,
                                           const void* next, float* y, size_t y_stride, size_t cols);

  // Rounded to nearest even; beyond the range becomes infinity; NaN becomes a quiet NaN.
  void (*to_half)(const float* in, size_t n, uint16_t* out);

  // Quantises to ceil(n / 32) blocks of Q8_0: d = max|x| / 127 as a half, q = x * (127 / max|x|) rounded to
  // nearest even; elements from n on count as 0. A block that holds a NaN or an infinity becomes d = NaN,
  // q = 0; one below 2^-100 becomes 0. Every table gives the same bytes.
  void (*to_q8_0)(const float* in, size_t n, void* out);

  // One row of n > 0 elements.
  // y = (x - mean) / sqrt(variance + eps) * gamma + beta
  void (*layer_norm)(const float* x, const float* gamma, const float* beta, float eps, size_t n, float* y);
  // y = x / sqrt(mean of squares + eps) * gamma
  void (*rms_norm)(const float* x, const float* gamma, float eps, size_t n, float* y);

  // The parts of a softmax. max: -infinity if n is 0, NaNs may be skipped.
  float (*max)(const float* x, size_t n);
  // x = exp(x - max), returns the sum. NaNs, and max = +infinity, give NaN.
  float (*exp_sum)(float* x, size_t n, float max);
  // x *= factor
  void (*scale)(float* x, size_t n, float factor);

  // Elementwise, y may be x. Formulas: ops/activation.h.
  void (*quick_gelu)(const float* x, size_t n, float* y);
  void (*gelu)(const float* x, size_t n, float* y);
  void (*silu)(const float* x, size_t n, float* y);
  void (*swiglu)(const float* gate, const float* up, size_t n, float* y);

  // Rotates `pairs` adjacent pairs in place: (a, b) -> (a cos - b sin, b cos + a sin).
  void (*rope)(float* x, const float* cos, const float* sin, size_t pairs);

  // y[c] = bias[c] + sum over t in order of x[t][c] * w[t][c]; bias nullptr means 0 (depthwise convolution:
  // one tap per t). y overlaps nothing.
  void (*weighted_sum)(const float* const* x, const float* const* w, size_t taps, const float* bias, size_t n,
                       float* y);
};

}  // namespace mobilevlm
