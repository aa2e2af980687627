#include "ops/float_panels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace mobilevlm {
namespace {

// Sixteen bytes of a row; gcc and clang make them one register of any CPU.
using Eight = uint16_t __attribute__((vector_size(16)));
using Four = uint32_t __attribute__((vector_size(16)));

Eight ZipLow(Eight a, Eight b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
Eight ZipHigh(Eight a, Eight b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
Four ZipLow(Four a, Four b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
Four ZipHigh(Four a, Four b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }

template <class Element>
struct Traits;
template <>
struct Traits<uint16_t> {
  using Row = Eight;
};
template <>
struct Traits<uint32_t> {
  using Row = Four;
};

// A square of kSide x kSide elements: from rows, `from[r]` its row r, to columns, `step` bytes apart.
// Zipping the upper half of the rows with the lower one log2(kSide) times transposes it.
template <class Element>
void TransposeSquare(const std::byte* const* from, size_t offset, std::byte* to, size_t step) {
  using Row = typename Traits<Element>::Row;
  constexpr size_t kSide = sizeof(Row) / sizeof(Element);
  Row square[kSide];
  for (size_t r = 0; r < kSide; ++r) std::memcpy(&square[r], from[r] + offset, sizeof(Row));
  for (size_t zipped = 1; zipped < kSide; zipped *= 2) {
    Row next[kSide];
    for (size_t r = 0; r < kSide / 2; ++r) {
      next[2 * r] = ZipLow(square[r], square[r + kSide / 2]);
      next[2 * r + 1] = ZipHigh(square[r], square[r + kSide / 2]);
    }
    std::copy_n(next, kSide, square);
  }
  for (size_t r = 0; r < kSide; ++r) std::memcpy(to + r * step, &square[r], sizeof(Row));
}

// The outputs of `rows` (kFloatPanelOutputs pointers) over all inputs.
template <class Element>
void PackPanel(const std::byte* const* rows, size_t in, std::byte* panel) {
  constexpr size_t kSide = sizeof(typename Traits<Element>::Row) / sizeof(Element);
  constexpr size_t kStep = kFloatPanelOutputs * sizeof(Element);
  constexpr size_t kLine = 64;
  constexpr size_t kLineInputs = kLine / sizeof(Element);
  const size_t whole = in / kSide * kSide;
  // A cache line of each row at a time: rows lie a multiple of 4 KiB apart and would push each other out.
  for (size_t first = 0; first < whole; first += kLineInputs) {
    const size_t end = std::min(first + kLineInputs, whole);
    for (size_t o = 0; o < kFloatPanelOutputs; o += kSide) {
      for (size_t i = first; i < end; i += kSide) {
        TransposeSquare<Element>(rows + o, i * sizeof(Element), panel + i * kStep + o * sizeof(Element),
                                 kStep);
      }
    }
  }
  for (size_t i = whole; i < in; ++i) {
    for (size_t o = 0; o < kFloatPanelOutputs; ++o) {
      std::memcpy(panel + i * kStep + o * sizeof(Element), rows[o] + i * sizeof(Element), sizeof(Element));
    }
  }
}

template <class Element>
void Pack(const std::byte* rows, size_t row_bytes, size_t out, size_t in, size_t begin, size_t end,
          std::byte* panels) {
  const std::vector<std::byte> nothing(out % kFloatPanelOutputs != 0 ? in * sizeof(Element) : 0);
  for (size_t panel = begin; panel < end; ++panel) {
    const std::byte* row[kFloatPanelOutputs];
    for (size_t o = 0; o < kFloatPanelOutputs; ++o) {
      const size_t r = panel * kFloatPanelOutputs + o;
      row[o] = r < out ? rows + r * row_bytes : nothing.data();
    }
    PackPanel<Element>(row, in, panels + panel * in * kFloatPanelOutputs * sizeof(Element));
  }
}

}  // namespace

bool HasFloatPanels(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16; }

size_t FloatPanelStep(DType type) { return RowBytes(type, kFloatPanelOutputs).value(); }

void PackFloatPanels(DType type, const std::byte* rows, size_t row_bytes, size_t out, size_t in, size_t begin,
                     size_t end, std::byte* panels) {
  MVLM_CHECK(HasFloatPanels(type), "panels of {}", DTypeName(type));
  if (type == DType::kF32) return Pack<uint32_t>(rows, row_bytes, out, in, begin, end, panels);
  return Pack<uint16_t>(rows, row_bytes, out, in, begin, end, panels);
}

}  // namespace mobilevlm
