// Float weights (F32, F16, BF16) transposed into panels, as the language model keeps them from loading on.
//
// A panel holds kFloatPanelOutputs outputs (rows of the file) over all inputs; its elements are the file's,
// bit for bit, an input's outputs side by side:
//
//     panel p: [in][kFloatPanelOutputs], element [i][o] = w[p * kFloatPanelOutputs + o][i]
//
// The sums of neighbouring outputs then read neighbouring elements: one token meets a panel as a single
// stream from front to back (gemv_columns of kernels/kernels.h; gemm_wide_panel for a few tokens), where rows
// would have to be transposed in registers first, and a panel for gemm_panel is a stripe of it, widened.
// Columns behind the last output are 0. Sizes equal the file's when kFloatPanelOutputs divides the outputs.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "tensor/dtype.h"

namespace mobilevlm {

constexpr size_t kFloatPanelOutputs = kWidePanel;

// True for F32, F16 and BF16.
bool HasFloatPanels(DType type);

// Panels of a matrix with `out` rows.
constexpr size_t FloatPanels(size_t out) { return (out + kFloatPanelOutputs - 1) / kFloatPanelOutputs; }

// Bytes from one input of a panel to the next.
size_t FloatPanelStep(DType type);

// Packs the panels [begin, end) of the matrix [out, in] that starts at `rows`, row_bytes apart; `panels` is
// where panel 0 starts, in * FloatPanelStep(type) bytes before panel 1. Different ranges may be packed by
// different threads.
void PackFloatPanels(DType type, const std::byte* rows, size_t row_bytes, size_t out, size_t in, size_t begin,
                     size_t end, std::byte* panels);

}  // namespace mobilevlm
