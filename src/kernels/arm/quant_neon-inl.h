// The vector class of simd/quantised-inl.h for 64-bit ARM: all but Dot, which each instruction set adds.
#pragma once

#include <arm_neon.h>

#include "kernels/simd/quantised-inl.h"

namespace mobilevlm {
namespace {

struct NeonQuant {
  using Bytes = uint8x16_t;
  using Ints = int32x4_t;
  using F = float32x4_t;
  static constexpr int kLanes = 4;
  static constexpr bool kSigned = true;
  static constexpr bool kWholeBlocks = false;
  static constexpr int kGemmRows = 6;  // 24 accumulators, four weights and the broadcast activation
  static constexpr int kGemmPanels = 1;

  static Bytes LoadBytes(const uint8_t* p) { return vld1q_u8(p); }
  static void StoreBytes(uint8_t* p, Bytes v) { vst1q_u8(p, v); }
  static Bytes Low4(Bytes v) { return vandq_u8(v, vdupq_n_u8(15)); }
  static Bytes High4(Bytes v) { return vshrq_n_u8(v, 4); }
  template <int s>
  static Bytes TwoBits(Bytes v) {
    if constexpr (s != 0) v = vshrq_n_u8(v, s);
    return vandq_u8(v, vdupq_n_u8(3));
  }
  template <int bit, int value>
  static Bytes BitTo(Bytes v) {
    return vandq_u8(vtstq_u8(v, vdupq_n_u8(1 << bit)), vdupq_n_u8(value));
  }
  static Bytes AddWhereBit(Bytes v, uint64_t mask, int part, char value) {
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    const uint64_t bits = mask >> (16 * part);
    const uint8x16_t byte =
        vcombine_u8(vdup_n_u8(static_cast<uint8_t>(bits)), vdup_n_u8(static_cast<uint8_t>(bits >> 8)));
    return vaddq_u8(v, vandq_u8(vtstq_u8(byte, bit), vdupq_n_u8(static_cast<uint8_t>(value))));
  }
  static Bytes ShiftLeft4(Bytes v) { return vshlq_n_u8(v, 4); }
  static Bytes Or(Bytes a, Bytes b) { return vorrq_u8(a, b); }
  template <int value>
  static Bytes Minus(Bytes v) {
    return vsubq_u8(v, vdupq_n_u8(static_cast<uint8_t>(value)));
  }
  static int8x16_t Broadcast4(const int8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof(four));
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static Ints Zero() { return vdupq_n_s32(0); }
  static Ints SetInts(int32_t value) { return vdupq_n_s32(value); }
  static F ToFloat(Ints v) { return vcvtq_f32_s32(v); }
  static F LoadFloats(const float* p) { return vld1q_f32(p); }
  static void StoreFloats(float* p, F v) { vst1q_f32(p, v); }
  static F Set(float value) { return vdupq_n_f32(value); }
  static F Fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }

  static F Halves(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static uint8x8_t Load4(const void* p) {
    uint32_t four;
    __builtin_memcpy(&four, p, sizeof(four));
    return vcreate_u8(four);
  }
  static F FromUnsigned(uint8x8_t v) { return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v)))); }
  static F FromBytes(const uint8_t* p) { return FromUnsigned(Load4(p)); }
  static F FromSignedBytes(const int8_t* p) {
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(Load4(p))))));
  }
  static F FromLowNibbles(const uint8_t* p) { return FromUnsigned(vand_u8(Load4(p), vdup_n_u8(15))); }
  static F FromHighNibbles(const uint8_t* p) { return FromUnsigned(vshr_n_u8(Load4(p), 4)); }

  static uint32_t MaxBits(const float* x) {
    uint32x4_t largest = vdupq_n_u32(0);
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; ++i) {
      largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + 4 * i))));
    }
    return vmaxvq_u32(largest);
  }
  static void Quantise32(const float* x, const BlockScale& block, int8_t* q, size_t step, int32_t* sums,
                         size_t sums_step) {
    const F inverse = Set(block.inverse);
    for (size_t half = 0; half < 2; ++half) {
      Ints sum = Zero();
#pragma GCC unroll 4
      for (size_t g = 4 * half; g < 4 * half + 4; ++g) {
        const Ints rounded = block.ordinary ? vcvtnq_s32_f32(vld1q_f32(x + 4 * g) * inverse) : Zero();
        sum = vaddq_s32(sum, rounded);
        const int16x4_t words = vmovn_s32(rounded);
        const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
        __builtin_memcpy(q + g * step, &bytes, 4);
      }
      sums[half * sums_step] = vaddvq_s32(sum);
    }
  }
};

}  // namespace
}  // namespace mobilevlm
