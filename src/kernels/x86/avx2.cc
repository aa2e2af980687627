// AVX2, FMA, F16C: 8 lanes, a register tile of 6 x 16.
#include <immintrin.h>

#include "kernels/simd/matrix-inl.h"
#include "kernels/tables.h"
#include "tensor/blocks.h"

namespace mobilevlm {
namespace {

struct Avx2 {
  using F = __m256;
  static constexpr size_t kLanes = 8;
  static constexpr size_t kMaxRows = 6;

  static __m256i Mask(Some part) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(part.n)), lane);
  }
  static F Load(const float* p, All) { return _mm256_loadu_ps(p); }
  static F Load(const float* p, Some part) { return _mm256_maskload_ps(p, Mask(part)); }
  static void Store(float* p, F v, All) { _mm256_storeu_ps(p, v); }
  static void Store(float* p, F v, Some part) { _mm256_maskstore_ps(p, Mask(part), v); }
  static F Keep(F v, All) { return v; }
  static F Keep(F v, Some part) { return _mm256_and_ps(v, _mm256_castsi256_ps(Mask(part))); }
  static F Set(float value) { return _mm256_set1_ps(value); }
  static F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F Min(F a, F b) { return _mm256_min_ps(a, b); }
  static F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static F Round(F v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // 2^n in two factors: one exponent field cannot hold all of -150 .. 129.
  static F ScaleByPow2(F v, F n) {
    const __m256i exponent = _mm256_cvtps_epi32(n);
    const __m256i first = _mm256_srai_epi32(exponent, 1);
    return v * Pow2(first) * Pow2(_mm256_sub_epi32(exponent, first));
  }
  static F Pow2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static F IfGe(F a, F b, F yes, F no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
  static float Sum(F v) {
    const __m128 four = _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1);
    const __m128 two = four + _mm_movehl_ps(four, four);
    return two[0] + two[1];
  }
  static float MaxLane(F v) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return two[0] > two[1] ? two[0] : two[1];
  }

  static void RotatePairs(float* x, const float* cos, const float* sin) {
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const F c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cos)), twice);
    const F s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sin)), twice);
    const F v = _mm256_loadu_ps(x);
    const F swapped = _mm256_permute_ps(v, 0xB1);
    _mm256_storeu_ps(x, _mm256_fmaddsub_ps(v, c, swapped * s));  // even lanes subtract, odd ones add
  }

  static void ToHalf(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(Load(in + i, All{}), 0));
    }
    if (i < n) {
      const __m128i halves = _mm256_cvtps_ph(Load(in + i, Some{n - i}), 0);
      __builtin_memcpy(out + i, &halves, (n - i) * sizeof(uint16_t));
    }
  }

  static void Transpose(F (&t)[8]) {
    F u[8];
#pragma GCC unroll 2
    for (int g = 0; g < 8; g += 4) {  // 4 x 4 squares inside the 128-bit lanes
      const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(t[g], t[g + 1]));
      const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(t[g], t[g + 1]));
      const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(t[g + 2], t[g + 3]));
      const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(t[g + 2], t[g + 3]));
      u[g] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
      u[g + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
      u[g + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
      u[g + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {  // then the 2 x 2 square of lanes
      t[c] = _mm256_permute2f128_ps(u[c], u[c + 4], 0x20);
      t[c + 4] = _mm256_permute2f128_ps(u[c], u[c + 4], 0x31);
    }
  }

  struct ReadF32 {
    static constexpr size_t kBytesPerVector = 32;
    static F At(const unsigned char* row, size_t j, All) {
      return _mm256_loadu_ps(reinterpret_cast<const float*>(row + 4 * j));
    }
    static F At(const unsigned char* row, size_t j, Some part) {
      return _mm256_maskload_ps(reinterpret_cast<const float*>(row + 4 * j), Mask(part));
    }
  };
  static __m128i Load16(const unsigned char* p, All) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __m128i Load16(const unsigned char* p, Some part) {
    __m128i v = _mm_setzero_si128();
    __builtin_memcpy(&v, p, part.n * sizeof(uint16_t));
    return v;
  }
  struct ReadF16 {
    static constexpr size_t kBytesPerVector = 16;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      return _mm256_cvtph_ps(Load16(row + 2 * j, part));
    }
  };
  struct ReadBF16 {
    static constexpr size_t kBytesPerVector = 16;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      const __m256i bits = _mm256_cvtepu16_epi32(Load16(row + 2 * j, part));
      return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
    }
  };
  struct ReadQ8_0 {
    static constexpr size_t kBytesPerVector = 9;  // 8.5: a prefetch a little too early does no harm
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part) {  // j is a multiple of 8: a quarter of a block
      const unsigned char* block = row + j / 32 * sizeof(BlockQ8_0);
      uint16_t d;
      __builtin_memcpy(&d, block, sizeof(d));
      const __m128i q = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block + 2 + j % 32));
      return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)) * _mm256_set1_ps(_cvtsh_ss(d));
    }
  };
};

}  // namespace

constinit const KernelTable kAvx2Kernels = MakeTable<Avx2>("avx2", &kAvx2QuantKernels);

}  // namespace mobilevlm
