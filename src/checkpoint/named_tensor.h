// A tensor of a checkpoint as its file holds it: named, plain element type, perhaps not in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// More are refused in every file format.
inline constexpr size_t kMaxDimensions = 8;

struct NamedTensor {
  std::string name;
  DType type = DType::kF32;         // F32, F16 or BF16
  std::vector<uint64_t> shape;      // outermost first; empty for a scalar
  std::span<const std::byte> data;  // not necessarily aligned for its type
  // Distance of neighbours along each axis, in elements of `data`, which then begins at the first element and
  // ends at the last. Empty: row-major without gaps, as safetensors always are.
  std::vector<uint64_t> strides = {};

  uint64_t elements() const;
};

// A tensor whose element type (I64, BOOL, ...) nothing here reads.
struct OtherTensor {
  std::string name;
  std::string dtype;
};

// The Error for a name that none of the readable tensors of `path` has: it is one of `others`, or missing.
tl::unexpected<Error> NotReadable(const std::string& path, std::string_view name,
                                  std::span<const OtherTensor> others);

// Bytes of a tensor without gaps; nullopt on overflow.
std::optional<uint64_t> DenseBytes(DType type, std::span<const uint64_t> shape);

// Elements [first, first + count) in row-major order; the range must lie inside and, of quantised
// types, begin and end with a block. Any number of threads may read at once.
void CopyElements(const NamedTensor& tensor, uint64_t first, size_t count, std::byte* out);
void ReadElements(const NamedTensor& tensor, uint64_t first, size_t count, float* out);

}  // namespace mobilevlm
