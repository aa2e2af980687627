// AVX2: VPMADDUBSW takes unsigned by signed bytes. Weights of eight bits are signed, and with one row their
// sign moves to the activation; |w| <= 128 and |x| <= 127 keep its 16-bit sums from saturating.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86/quant_avx2_gemm-inl.h"

namespace mobilevlm {
namespace {

struct Avx2Quant {
  using Bytes = __m256i;
  using Ints = __m256i;
  using F = __m256;
  static constexpr int kLanes = 8;
  static constexpr bool kSigned = true;
  static constexpr bool kWholeBlocks = false;
  static constexpr bool kPairs = true;

  static Bytes LoadBytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void StoreBytes(uint8_t* p, Bytes v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Bytes Low4(Bytes v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
  static Bytes High4(Bytes v) { return Low4(_mm256_srli_epi16(v, 4)); }
  template <int s>
  static Bytes TwoBits(Bytes v) {
    return _mm256_and_si256(_mm256_srli_epi16(v, s), _mm256_set1_epi8(3));
  }
  template <int bit, int value>
  static Bytes BitTo(Bytes v) {
    const __m256i select = _mm256_set1_epi8(static_cast<char>(1 << bit));
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, select), select), _mm256_set1_epi8(value));
  }
  static Bytes AddWhereBit(Bytes v, uint64_t mask, int part, char value) {
    // Byte i gets the byte of the mask that holds its bit, then tests the bit.
    const __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2,
                                          2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
    const __m256i bits =
        _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int32_t>(mask >> (32 * part))), byte);
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
    return _mm256_add_epi8(v, _mm256_and_si256(set, _mm256_set1_epi8(value)));
  }
  static Bytes ShiftLeft4(Bytes v) { return _mm256_slli_epi16(v, 4); }
  static Bytes Or(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  template <int value>
  static Bytes Minus(Bytes v) {
    return _mm256_sub_epi8(v, _mm256_set1_epi8(static_cast<char>(value)));
  }
  static Bytes Broadcast4(const int8_t* p) { return mobilevlm::Broadcast4(p); }
  static Ints Dot(Ints acc, Bytes w, Bytes x) {
    AddWidened(acc, _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)));
    return acc;
  }
  static Ints FirstPairs(Bytes w, Bytes x) { return _mm256_maddubs_epi16(w, x); }
  static Ints AddPairs(Ints pairs, Bytes w, Bytes x) {
    mobilevlm::AddPairs(pairs, _mm256_maddubs_epi16(w, x));
    return pairs;
  }
  static Ints Widen(Ints acc, Ints pairs) {
    AddWidened(acc, pairs);
    return acc;
  }
  static Ints Zero() { return _mm256_setzero_si256(); }
  static Ints SetInts(int32_t value) { return _mm256_set1_epi32(value); }
  static F ToFloat(Ints v) { return _mm256_cvtepi32_ps(v); }
  static F LoadFloats(const float* p) { return _mm256_loadu_ps(p); }
  static void StoreFloats(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F Set(float value) { return _mm256_set1_ps(value); }
  static F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }

  static __m128i Load8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
  static F Halves(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F FromBytes(const uint8_t* p) { return ToFloat(_mm256_cvtepu8_epi32(Load8(p))); }
  static F FromSignedBytes(const int8_t* p) { return ToFloat(_mm256_cvtepi8_epi32(Load8(p))); }
  static F FromLowNibbles(const uint8_t* p) {
    return ToFloat(_mm256_and_si256(_mm256_cvtepu8_epi32(Load8(p)), _mm256_set1_epi32(15)));
  }
  static F FromHighNibbles(const uint8_t* p) {
    return ToFloat(_mm256_srli_epi32(_mm256_cvtepu8_epi32(Load8(p)), 4));
  }

  static uint32_t MaxOf(__m256i v) {
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4E));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
  }
  static int32_t SumOf(__m256i v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
    return _mm_cvtsi128_si32(sum);
  }
  static uint32_t MaxBits(const float* x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i largest = _mm256_setzero_si256();
    for (size_t i = 0; i < 4; ++i) {
      const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + 8 * i));
      largest = _mm256_max_epu32(largest, _mm256_and_si256(bits, magnitude));
    }
    return MaxOf(largest);
  }
  static void Quantise32(const float* x, const BlockScale& block, int8_t* q, size_t step, int32_t* sums,
                         size_t sums_step) {
    const F inverse = Set(block.inverse);
    Ints rounded[4];
    for (size_t i = 0; i < 4; ++i)
      rounded[i] = block.ordinary ? _mm256_cvtps_epi32(_mm256_loadu_ps(x + 8 * i) * inverse) : Zero();
    for (size_t half = 0; half < 2; ++half) {
      sums[half * sums_step] = SumOf(_mm256_add_epi32(rounded[2 * half], rounded[2 * half + 1]));
    }
    // Packing works within 128-bit lanes: dword i of the result is group 2 * (i % 4) + i / 4.
    const __m256i words[2] = {_mm256_packs_epi32(rounded[0], rounded[1]),
                              _mm256_packs_epi32(rounded[2], rounded[3])};
    alignas(32) int32_t groups[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(groups), _mm256_packs_epi16(words[0], words[1]));
    for (size_t i = 0; i < 8; ++i) {
      __builtin_memcpy(q + (2 * (i % 4) + i / 4) * step, groups + i, 4);
    }
  }
};

// Unpacks a format of eight bits, and what gemm adds for its negative weights.
template <class D>
void UnpackWithNegatives(const void* panel, size_t k, const UnpackedPanel& out) {
  static_assert(D::kBlocks == 1 && D::kTraits.sub_blocks == 1);
  Unpack<Avx2Quant, D>(panel, k, out);
  constexpr size_t kGroups = D::kTraits.block / 4;
  const uint8_t* quants = out.quants;
  for (size_t b = 0; b < k / D::kTraits.block; ++b, quants += kGroups * kPackedGroup) {
    for (size_t c = 0; c < 2; ++c) {
      __m256i pairs = _mm256_setzero_si256();  // at least kGroups * 2 * -128
      for (size_t g = 0; g < kGroups; ++g) {
        const __m256i w = Avx2Quant::LoadBytes(quants + g * kPackedGroup + 32 * c);
        const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w);
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(_mm256_abs_epi8(w), negative));
      }
      const __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(-1));
      _mm256_storeu_ps(out.mins + b * kPackedOutputs + 8 * c, _mm256_cvtepi32_ps(sums));
    }
  }
}

template <PackedFormat... kFormats>
constexpr void SetAvx2Gemm(QuantKernels& kernels) {
  ((kernels.gemm[kFormats] = Avx2Gemm<kFormats, PairGroups<Avx2Quant>(kPackedTraits[kFormats].bits)>), ...);
}

constexpr QuantKernels MakeAvx2Kernels() {
  QuantKernels kernels = MakeKernelsWithoutGemm<Avx2Quant>("avx2");
  kernels.unpack[kPackedQ8_0] = UnpackWithNegatives<DecodeQ8_0<Avx2Quant>>;
  kernels.unpack[kPackedLong] = UnpackWithNegatives<DecodeLong<Avx2Quant>>;
  SetAvx2Gemm<kPackedQ4_0, kPackedQ4_1, kPackedQ5_0, kPackedQ5_1, kPackedQ8_0, kPackedQ2_K, kPackedQ3_K,
              kPackedQ4_K, kPackedQ5_K, kPackedQ6_K, kPackedLong>(kernels);
  return kernels;
}

}  // namespace

constinit const QuantKernels kAvx2QuantKernels = MakeAvx2Kernels();

}  // namespace mobilevlm
