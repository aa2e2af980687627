// Arithmetic on sizes that come from files: overflow is an answer, not undefined behaviour.
#pragma once

#include <cstdint>
#include <optional>

namespace mobilevlm {

inline std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// True if [offset, offset + size) lies within [0, total); does not wrap.
inline bool RangeFits(uint64_t offset, uint64_t size, uint64_t total) {
  return size <= total && offset <= total - size;
}

// The smallest multiple of `alignment` (a power of two or any positive number) not below value.
inline std::optional<uint64_t> CheckedAlign(uint64_t value, uint64_t alignment) {
  const uint64_t rest = value % alignment;
  if (rest == 0) return value;
  return CheckedAdd(value, alignment - rest);
}

}  // namespace mobilevlm
