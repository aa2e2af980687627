// NEON as every 64-bit ARM has it: 4 lanes, fused multiply-add, conversion of halves; a register tile
// of 8 x 8.
#include <arm_neon.h>

#include "kernels/simd/matrix-inl.h"
#include "kernels/tables.h"
#include "tensor/blocks.h"

namespace mobilevlm {
namespace {

struct Neon {
  using F = float32x4_t;
  static constexpr size_t kLanes = 4;
  static constexpr size_t kMaxRows = 8;  // of 12 rows gcc keeps some sums in memory

  static F Load(const float* p, All) { return vld1q_f32(p); }
  static F Load(const float* p, Some part) {
    F v = vdupq_n_f32(0.0f);
    if (part.n > 0) v = vld1q_lane_f32(p, v, 0);
    if (part.n > 1) v = vld1q_lane_f32(p + 1, v, 1);
    if (part.n > 2) v = vld1q_lane_f32(p + 2, v, 2);
    if (part.n > 3) v = vld1q_lane_f32(p + 3, v, 3);
    return v;
  }
  static void Store(float* p, F v, All) { vst1q_f32(p, v); }
  static void Store(float* p, F v, Some part) {
    if (part.n > 0) vst1q_lane_f32(p, v, 0);
    if (part.n > 1) vst1q_lane_f32(p + 1, v, 1);
    if (part.n > 2) vst1q_lane_f32(p + 2, v, 2);
    if (part.n > 3) vst1q_lane_f32(p + 3, v, 3);
  }
  static F Keep(F v, All) { return v; }
  static F Keep(F v, Some part) {
    const uint32x4_t lane = {0, 1, 2, 3};
    const uint32x4_t mask = vcltq_u32(lane, vdupq_n_u32(static_cast<uint32_t>(part.n)));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), mask));
  }
  static F Set(float value) { return vdupq_n_f32(value); }
  static F Fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  // Not FMIN and FMAX, which return the NaN whichever operand it is.
  static F Min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F Max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F Round(F v) { return vrndnq_f32(v); }
  // 2^n in two factors: one exponent field cannot hold all of -150 .. 129.
  static F ScaleByPow2(F v, F n) {
    const int32x4_t exponent = vcvtq_s32_f32(n);
    const int32x4_t first = vshrq_n_s32(exponent, 1);
    return v * Pow2(first) * Pow2(vsubq_s32(exponent, first));
  }
  static F Pow2(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
  }
  static F IfGe(F a, F b, F yes, F no) { return vbslq_f32(vcgeq_f32(a, b), yes, no); }
  static float Sum(F v) {
    const float32x2_t two = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static float MaxLane(F v) { return vmaxvq_f32(v); }

  static void RotatePairs(float* x, const float* cos, const float* sin) {
    const float32x2_t c = vld1_f32(cos), s = vld1_f32(sin);
    const F cc = vcombine_f32(vzip1_f32(c, c), vzip2_f32(c, c));
    const float32x2_t minus_s = vneg_f32(s);
    const F ss = vcombine_f32(vzip1_f32(minus_s, s), vzip2_f32(minus_s, s));
    const F v = vld1q_f32(x);
    vst1q_f32(x, vfmaq_f32(vmulq_f32(vrev64q_f32(v), ss), v, cc));  // even lanes subtract, odd ones add
  }

  static void ToHalf(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(Load(in + i, All{}))));
    }
    if (i < n) {
      const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(Load(in + i, Some{n - i})));
      __builtin_memcpy(out + i, &halves, (n - i) * sizeof(uint16_t));
    }
  }

  static void Transpose(F (&t)[4]) {
    const float32x4_t even[2] = {vzip1q_f32(t[0], t[2]), vzip1q_f32(t[1], t[3])};
    const float32x4_t odd[2] = {vzip2q_f32(t[0], t[2]), vzip2q_f32(t[1], t[3])};
    t[0] = vzip1q_f32(even[0], even[1]);
    t[1] = vzip2q_f32(even[0], even[1]);
    t[2] = vzip1q_f32(odd[0], odd[1]);
    t[3] = vzip2q_f32(odd[0], odd[1]);
  }

  struct ReadF32 {
    static constexpr size_t kBytesPerVector = 16;
    static F At(const unsigned char* row, size_t j, All) {
      return vreinterpretq_f32_u8(vld1q_u8(row + 4 * j));  // bytes: rows of a file are not aligned
    }
    static F At(const unsigned char* row, size_t j, Some part) {
      F v = vdupq_n_f32(0.0f);
      __builtin_memcpy(&v, row + 4 * j, part.n * sizeof(float));
      return v;
    }
  };
  static uint16x4_t Load16(const unsigned char* p, All) { return vreinterpret_u16_u8(vld1_u8(p)); }
  static uint16x4_t Load16(const unsigned char* p, Some part) {
    uint16x4_t v = vdup_n_u16(0);
    __builtin_memcpy(&v, p, part.n * sizeof(uint16_t));
    return v;
  }
  struct ReadF16 {
    static constexpr size_t kBytesPerVector = 8;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      return vcvt_f32_f16(vreinterpret_f16_u16(Load16(row + 2 * j, part)));
    }
  };
  struct ReadBF16 {
    static constexpr size_t kBytesPerVector = 8;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      return vreinterpretq_f32_u32(vshll_n_u16(Load16(row + 2 * j, part), 16));
    }
  };
  struct ReadQ8_0 {
    static constexpr size_t kBytesPerVector = 5;  // 4.25: a prefetch a little too early does no harm
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part) {  // j is a multiple of 4: an eighth of a block
      const unsigned char* block = row + j / 32 * sizeof(BlockQ8_0);
      uint16_t d;
      uint32_t four;
      __builtin_memcpy(&d, block, sizeof(d));
      __builtin_memcpy(&four, block + 2 + j % 32, sizeof(four));
      const int16x8_t q = vmovl_s8(vcreate_s8(four));
      const F scale = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(d)));
      return vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))) * scale;
    }
  };
};

}  // namespace

constinit const KernelTable kNeonKernels = MakeTable<Neon>("neon", &kNeonQuantKernels);
constinit const KernelTable kDotprodKernels = MakeTable<Neon>("dotprod", &kDotprodQuantKernels);
constinit const KernelTable kI8mmKernels = MakeTable<Neon>("i8mm", &kI8mmQuantKernels);

}  // namespace mobilevlm
