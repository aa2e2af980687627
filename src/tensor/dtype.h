// Element types of tensors on disk, with GGUF's numbers (they live in files: never renumber).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mobilevlm {

enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct DTypeInfo {
  DType type;
  std::string_view name;  // "F16", "Q8_0", ... as GGUF tools print it
  uint32_t block_size;    // elements per block; 1 for plain types
  uint32_t block_bytes;   // bytes per block
};

// nullptr if the number is no type this project knows.
const DTypeInfo* FindDType(uint32_t gguf_number);
// nullptr if it is no such name, written as in DTypeInfo.
const DTypeInfo* FindDType(std::string_view name);
const DTypeInfo& GetDTypeInfo(DType type);
inline std::string_view DTypeName(DType type) { return GetDTypeInfo(type).name; }
// Whether several elements share a block, and so a scale.
inline bool IsQuantised(DType type) { return GetDTypeInfo(type).block_size > 1; }
std::string DTypeNames();  // "F32, F16, Q4_0, ...": what messages list as supported

// Bytes of one row of `cols` elements; nullopt if cols is not a multiple of the block or it overflows.
std::optional<uint64_t> RowBytes(DType type, uint64_t cols);

}  // namespace mobilevlm
