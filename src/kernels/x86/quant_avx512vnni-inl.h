// The vector class of simd/quantised-inl.h for AVX-512 VNNI: VPDPBUSD multiplies sixty-four unsigned weights
// by signed activations at a time.
#pragma once

#include <immintrin.h>

#include "kernels/simd/quantised-inl.h"

namespace mobilevlm {
namespace {

struct Avx512Vnni {
  using Bytes = __m512i;
  using Ints = __m512i;
  using F = __m512;
  static constexpr int kLanes = 16;
  static constexpr bool kSigned = false;
  static constexpr bool kWholeBlocks = false;
  // Twelve integer sums and twelve float ones; more would leave too few registers to begin the next block
  // early.
  static constexpr int kGemmRows = 6;
  static constexpr int kGemmPanels = 2;

  static Bytes LoadBytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void StoreBytes(uint8_t* p, Bytes v) { _mm512_storeu_si512(p, v); }
  static Bytes Low4(Bytes v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
  static Bytes High4(Bytes v) { return Low4(_mm512_srli_epi16(v, 4)); }
  template <int s>
  static Bytes TwoBits(Bytes v) {
    return _mm512_and_si512(_mm512_srli_epi16(v, s), _mm512_set1_epi8(3));
  }
  template <int bit, int value>
  static Bytes BitTo(Bytes v) {
    const __mmask64 set = _mm512_test_epi8_mask(v, _mm512_set1_epi8(static_cast<char>(1 << bit)));
    return _mm512_maskz_mov_epi8(set, _mm512_set1_epi8(value));
  }
  static Bytes AddWhereBit(Bytes v, uint64_t mask, int, char value) {
    return _mm512_mask_add_epi8(v, mask, v, _mm512_set1_epi8(value));
  }
  static Bytes ShiftLeft4(Bytes v) { return _mm512_slli_epi16(v, 4); }
  static Bytes Or(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static Bytes Broadcast4(const int8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof(four));
    return _mm512_set1_epi32(four);
  }
  // Not the intrinsic: around it gcc 12 copies every accumulator, which halves the speed of the tile.
  static Ints Dot(Ints acc, Bytes w, Bytes x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
    return acc;
  }
  static Ints Zero() { return _mm512_setzero_si512(); }
  static Ints SetInts(int32_t value) { return _mm512_set1_epi32(value); }
  static F ToFloat(Ints v) { return _mm512_cvtepi32_ps(v); }
  static F LoadFloats(const float* p) { return _mm512_loadu_ps(p); }
  static void StoreFloats(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F Set(float value) { return _mm512_set1_ps(value); }
  static F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }

  static __m128i Load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static F Halves(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F FromBytes(const uint8_t* p) { return ToFloat(_mm512_cvtepu8_epi32(Load16(p))); }
  static F FromSignedBytes(const int8_t* p) { return ToFloat(_mm512_cvtepi8_epi32(Load16(p))); }
  static F FromLowNibbles(const uint8_t* p) {
    return ToFloat(_mm512_and_si512(_mm512_cvtepu8_epi32(Load16(p)), _mm512_set1_epi32(15)));
  }
  static F FromHighNibbles(const uint8_t* p) {
    return ToFloat(_mm512_srli_epi32(_mm512_cvtepu8_epi32(Load16(p)), 4));
  }

  static uint32_t MaxBits(const float* x) {
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    const __m512i bits[2] = {_mm512_castps_si512(_mm512_loadu_ps(x)),
                             _mm512_castps_si512(_mm512_loadu_ps(x + 16))};
    return _mm512_reduce_max_epu32(
        _mm512_max_epu32(_mm512_and_si512(bits[0], magnitude), _mm512_and_si512(bits[1], magnitude)));
  }
  static void Quantise32(const float* x, const BlockScale& block, int8_t* q, size_t step, int32_t* sums,
                         size_t sums_step) {
    const F inverse = Set(block.inverse);
    for (size_t half = 0; half < 2; ++half) {
      const Ints rounded =
          block.ordinary ? _mm512_cvtps_epi32(_mm512_loadu_ps(x + 16 * half) * inverse) : Zero();
      sums[half * sums_step] = _mm512_reduce_add_epi32(rounded);
      const __m128i bytes = _mm512_cvtepi32_epi8(rounded);
      if (step == 4) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(q + half * 16), bytes);
        continue;
      }
      alignas(16) int32_t groups[4];
      _mm_store_si128(reinterpret_cast<__m128i*>(groups), bytes);
      for (size_t g = 0; g < 4; ++g) __builtin_memcpy(q + (half * 4 + g) * step, groups + g, 4);
    }
  }
};

}  // namespace
}  // namespace mobilevlm
