// IEEE half (f16) and bfloat16 to and from float, one value at a time, bit-exact, round to nearest even.
// These are the reference; the kernels have vector versions.
#pragma once

#include <bit>
#include <cstdint>

namespace mobilevlm {

using f16_t = uint16_t;   // raw bits
using bf16_t = uint16_t;  // raw bits

// No branches, so that loops over it become vector code.
inline float F16ToF32(f16_t h) {
  const uint32_t magnitude = h & 0x7FFFu;
  // A subnormal is mantissa * 2^-24, exact in float.
  const float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1.0p-24f;
  const uint32_t rebias = magnitude >= 0x7C00u ? 224u << 23 : 112u << 23;  // infinity and NaN keep all ones
  const uint32_t normal = (magnitude << 13) + rebias;
  const uint32_t bits = magnitude < 0x400u ? std::bit_cast<uint32_t>(subnormal) : normal;
  return std::bit_cast<float>(bits | static_cast<uint32_t>(h & 0x8000u) << 16);
}

inline f16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<f16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x47800000u) return static_cast<f16_t>(sign | 0x7C00u);  // >= 65536: infinity
  if (magnitude < 0x38800000u) {                                            // below 2^-14: subnormal
    // Adding 0.5 puts the half's unit at the float's last mantissa bit; the FPU rounds to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<f16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<f16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

inline float Bf16ToF32(bf16_t b) { return std::bit_cast<float>(static_cast<uint32_t>(b) << 16); }

inline bf16_t F32ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<bf16_t>((bits >> 16) | 0x40u);  // quiet NaN
  return static_cast<bf16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace mobilevlm
