// AVX-512 F, BW, DQ, VL: 16 lanes, masks for the ends, a register tile of 12 x 32.
#include <immintrin.h>

#include "kernels/simd/matrix-inl.h"
#include "kernels/tables.h"
#include "kernels/x86/transpose_avx512-inl.h"
#include "tensor/blocks.h"

namespace mobilevlm {
namespace {

struct Avx512 {
  using F = __m512;
  static constexpr size_t kLanes = 16;
  static constexpr size_t kMaxRows = 12;

  static __mmask16 Mask(Some part) { return static_cast<__mmask16>((1u << part.n) - 1u); }
  static F Load(const float* p, All) { return _mm512_loadu_ps(p); }
  static F Load(const float* p, Some part) { return _mm512_maskz_loadu_ps(Mask(part), p); }
  static void Store(float* p, F v, All) { _mm512_storeu_ps(p, v); }
  static void Store(float* p, F v, Some part) { _mm512_mask_storeu_ps(p, Mask(part), v); }
  static F Keep(F v, All) { return v; }
  static F Keep(F v, Some part) { return _mm512_maskz_mov_ps(Mask(part), v); }
  static F Set(float value) { return _mm512_set1_ps(value); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static F Round(F v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F ScaleByPow2(F v, F n) { return _mm512_scalef_ps(v, n); }
  static F IfGe(F a, F b, F yes, F no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), no, yes);
  }
  static __m128 FoldTo4(F v) {
    const __m256 half = _mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1);
    return _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
  }
  static float Sum(F v) {
    const __m128 four = FoldTo4(v);
    const __m128 two = four + _mm_movehl_ps(four, four);
    return two[0] + two[1];
  }
  static float MaxLane(F v) { return _mm512_reduce_max_ps(v); }

  static void RotatePairs(float* x, const float* cos, const float* sin) {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const F c = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(cos)));
    const F s = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(sin)));
    const F v = _mm512_loadu_ps(x);
    const F swapped = _mm512_permute_ps(v, 0xB1);
    _mm512_storeu_ps(x, _mm512_fmaddsub_ps(v, c, swapped * s));  // even lanes subtract, odd ones add
  }

  static void ToHalf(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtps_ph(Load(in + i, All{}), 0));
    }
    if (i < n) {
      const Some part{n - i};
      _mm256_mask_storeu_epi16(out + i, Mask(part), _mm512_cvtps_ph(Load(in + i, part), 0));
    }
  }

  static void Transpose(F (&t)[16]) { Transpose16(t); }

  struct ReadF32 {
    static constexpr size_t kBytesPerVector = 64;
    static F At(const unsigned char* row, size_t j, All) { return _mm512_loadu_ps(row + 4 * j); }
    static F At(const unsigned char* row, size_t j, Some part) {
      return _mm512_maskz_loadu_ps(Mask(part), row + 4 * j);
    }
  };
  static __m256i Load16(const unsigned char* p, All) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static __m256i Load16(const unsigned char* p, Some part) { return _mm256_maskz_loadu_epi16(Mask(part), p); }
  struct ReadF16 {
    static constexpr size_t kBytesPerVector = 32;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      return _mm512_cvtph_ps(Load16(row + 2 * j, part));
    }
  };
  struct ReadBF16 {
    static constexpr size_t kBytesPerVector = 32;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part part) {
      const __m512i bits = _mm512_cvtepu16_epi32(Load16(row + 2 * j, part));
      return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    }
  };
  struct ReadQ8_0 {
    static constexpr size_t kBytesPerVector = 17;
    template <class Part>
    static F At(const unsigned char* row, size_t j, Part) {  // j is a multiple of 16: half a block
      const unsigned char* block = row + j / 32 * sizeof(BlockQ8_0);
      uint16_t d;
      __builtin_memcpy(&d, block, sizeof(d));
      const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2 + j % 32));
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)) * _mm512_set1_ps(_cvtsh_ss(d));
    }
  };
};

}  // namespace

constinit const KernelTable kAvx512Kernels = MakeTable<Avx512>("avx512", &kAvx2QuantKernels);
constinit const KernelTable kAvx512VnniKernels = MakeTable<Avx512>("avx512vnni", &kAvx512VnniQuantKernels);
constinit const KernelTable kAmxKernels = MakeTable<Avx512>("amx", &kAmxQuantKernels, &kAmxSplitKernels);

}  // namespace mobilevlm
