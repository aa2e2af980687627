// From rows of GGUF blocks, as the file stores a matrix, to the panels of kernels/packed.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/packed.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// How the scales of quantised weights are kept.
enum class PackScales {
  kAsStored,
  kLongBlocks,  // Q8_0 becomes kPackedLong where the rows divide: faster, at the price of a second rounding
};

// nullopt: the type has no packed form (F32, F16, BF16 are multiplied as the file stores them). `in`:
// elements of a row.
std::optional<PackedFormat> FindPackedFormat(DType type, size_t in = 0,
                                             PackScales scales = PackScales::kAsStored);

// Panels of a matrix with `out` rows. An even number, since the kernels take two at a time; outputs behind
// the last row have scale 0.
constexpr size_t PackedPanels(size_t out) {
  return (out + 2 * kPackedOutputs - 1) / (2 * kPackedOutputs) * 2;
}

// Bytes of one panel over `in` inputs, a multiple of the format's unit.
constexpr size_t PanelBytes(PackedFormat format, size_t in) {
  return in / kPackedTraits[format].unit_inputs * kPackedTraits[format].unit_bytes;
}

// Packs the panels [begin, end) of the matrix [out, in] that starts at `rows`, row_bytes apart, in the type
// of the same name (kPackedLong: in Q8_0); `packed` is where panel 0 starts. Different ranges may be packed
// by different threads.
void PackPanels(PackedFormat format, const std::byte* rows, size_t row_bytes, size_t out, size_t in,
                size_t begin, size_t end, std::byte* packed);

}  // namespace mobilevlm
