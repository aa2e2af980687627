// GGUF, the file format of models, in prose and in numbers.
//
//   magic "GGUF" | u32 version | u64 tensor count | u64 metadata count
//   metadata:  per entry  string key | u32 value type | value
//   tensors:   per entry  string name | u32 dimensions | u64 extent each | u32 type | u64 offset
//   padding to the alignment, then the data section that the offsets count from
//
// - Everything is little-endian. Versions 2 and 3 have this same layout (3 only adds a big-endian variant,
//   recognised by its byte-swapped version number and refused); version 1 had 32-bit counts and is refused.
// - A string is u64 length + bytes (UTF-8, no terminator). An array is u32 element type + u64 count +
//   elements; arrays of arrays are allowed by the format, used by nobody, and refused.
// - Extents are stored innermost first; this project's shapes are outermost first, so they are reversed at
//   this border and nowhere else.
// - Every tensor's offset is a multiple of the alignment: metadata key general.alignment, a power of two,
//   32 if absent. A tensor is rows of whole blocks (tensor/dtype.h).
// - A vocabulary-only file is a GGUF with no tensors.
//
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <string_view>

namespace mobilevlm {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF" read as a little-endian number
inline constexpr uint32_t kGgufOldestVersion = 2;
inline constexpr uint32_t kGgufVersion = 3;  // what the writer writes
inline constexpr uint32_t kGgufDefaultAlignment = 32;
inline constexpr uint32_t kGgufMaxDimensions = 4;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";

// Metadata value types; the numbers live in files.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

}  // namespace mobilevlm
