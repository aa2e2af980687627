// Tiles of AVX2, which has no instruction that sums four products in 32 bits. VPMADDUBSW multiplies unsigned
// by signed bytes and adds two neighbours in 16 bits, VPMADDWD by ones adds two of those in 32.
//
// Weights of up to six bits stay unsigned, and the 16-bit sums of several groups are added before they are
// widened. Weights of eight bits leave no room for that, and need a sign: with m = -1 where w < 0, else 0,
//
//     w * x = |w| * (x ^ m) + (|w| where w < 0),
//
// an XOR a product instead of VPSIGNB (measured a little faster on a Zen 3). The second term does not depend
// on x: unpack sums it per block and output, as floats in place of the mins that these formats lack. |w| <=
// 128 and -128 <= x ^ m <= 127 keep 16 bits from saturating.
#pragma once

#include <immintrin.h>

#include "kernels/simd/quantised-inl.h"

namespace mobilevlm {
namespace {

constexpr int kHalves = 2;  // of a panel: registers of eight outputs

inline __m256i LoadQuants(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline __m256i Broadcast4(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm256_set1_epi32(four);
}
// Assembly, because gcc would rather have all products first, of which there are more than registers, or
// copies every sum.
inline void AddPairs(__m256i& sum, __m256i pairs) {
  __asm__ volatile("vpaddw %1, %0, %0" : "+x"(sum) : "x"(pairs));
}
inline void AddWidened(__m256i& sum, __m256i pairs) {
  __asm__ volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
}

// The integer sums of R rows times the 16 outputs of a panel over kGroups groups of four inputs.
template <int R, int kGroups, int kPairGroups>
struct Avx2Sums {
  static constexpr int kAtOnce = kPairGroups < kGroups ? kPairGroups : kGroups;
  static_assert(kGroups % kAtOnce == 0);

  static inline void Of(const uint8_t* quants, const float*, const int8_t* q, size_t rows,
                        const int32_t* start, __m256i (&acc)[R][kHalves]) {
#pragma GCC unroll 8
    for (int begin = 0; begin < kGroups; begin += kAtOnce) {
      __m256i pairs[R][kHalves];
#pragma GCC unroll 8
      for (int g = begin; g < begin + kAtOnce; ++g, quants += kPackedGroup, q += 4 * rows) {
        __m256i w[kHalves];
#pragma GCC unroll 2
        for (int c = 0; c < kHalves; ++c) w[c] = LoadQuants(quants + 32 * c);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const __m256i x = Broadcast4(q + 4 * r);
#pragma GCC unroll 2
          for (int c = 0; c < kHalves; ++c) {
            const __m256i products = _mm256_maddubs_epi16(w[c], x);
            if (g == begin) {
              pairs[r][c] = products;
            } else {
              AddPairs(pairs[r][c], products);
            }
          }
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
        for (int c = 0; c < kHalves; ++c) {
          if (begin == 0) acc[r][c] = _mm256_set1_epi32(start[r]);
          AddWidened(acc[r][c], pairs[r][c]);
        }
      }
    }
  }
};

template <int R, int kGroups>
struct Avx2Sums<R, kGroups, 0> {
  static inline void Of(const uint8_t* quants, const float* negative, const int8_t* q, size_t rows,
                        const int32_t*, __m256i (&acc)[R][kHalves]) {
#pragma GCC unroll 2
    for (int c = 0; c < kHalves; ++c) {
      const __m256i first = _mm256_cvtps_epi32(_mm256_loadu_ps(negative + 8 * c));
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[r][c] = first;
    }
    for (int g = 0; g < kGroups; ++g, quants += kPackedGroup, q += 4 * rows) {
      __m256i w[kHalves], m[kHalves];
#pragma GCC unroll 2
      for (int c = 0; c < kHalves; ++c) {
        const __m256i value = LoadQuants(quants + 32 * c);
        m[c] = _mm256_cmpgt_epi8(_mm256_setzero_si256(), value);
        w[c] = _mm256_abs_epi8(value);
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256i x = Broadcast4(q + 4 * r);
#pragma GCC unroll 2
        for (int c = 0; c < kHalves; ++c) {
          AddWidened(acc[r][c], _mm256_maddubs_epi16(w[c], _mm256_xor_si256(x, m[c])));
        }
      }
    }
  }
};

// R rows from row `first` on, times one unpacked panel.
template <PackedFormat kFormat, int kPairGroups, int R>
void Avx2Tile(const UnpackedPanel& panel, size_t k, const QuantisedRows& x, size_t first, StartSums from,
              PairSums to) {
  constexpr PackedTraits kTraits = kPackedTraits[kFormat];
  constexpr int kSubs = kTraits.sub_blocks, kGroups = static_cast<int>(kTraits.block) / 4 / kSubs;
  const size_t rows = x.rows;
  const uint8_t* quants = panel.quants;
  const float *scales = panel.scales, *mins = panel.mins;
  const int8_t* q = x.q + first * 4;
  const float* scale = x.scale + first;
  const int32_t* start = x.start + first;
  const float* scaled_sums = x.scaled_sums + first;
  __m256 sum[R][kHalves];
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (size_t c = 0; c < kHalves; ++c) sum[r][c] = _mm256_loadu_ps(from.row + r * from.stride + 8 * c);
  }
  for (size_t b = 0; b < k / kTraits.block; ++b, scale += rows) {
    for (int s = 0; s < kSubs; ++s) {
      __m256i acc[R][kHalves];
      Avx2Sums<R, kGroups, kPairGroups>::Of(quants, mins, q, rows, start, acc);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256 d = _mm256_set1_ps(scale[r]);
#pragma GCC unroll 2
        for (int c = 0; c < kHalves; ++c) {
          const __m256 w_scale = _mm256_loadu_ps(scales + 8 * c);
          sum[r][c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[r][c]), w_scale * d, sum[r][c]);
          if constexpr (kTraits.has_min) {
            const __m256 min = _mm256_loadu_ps(mins + 8 * c);
            sum[r][c] = _mm256_fmadd_ps(min, _mm256_set1_ps(scaled_sums[r]), sum[r][c]);
          }
        }
      }
      quants += kGroups * kPackedGroup, q += kGroups * 4 * rows;
      scales += kPackedOutputs, mins += kPackedOutputs;
      start += rows, scaled_sums += rows;
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (size_t c = 0; c < kHalves; ++c) _mm256_storeu_ps(to.row + r * to.stride + 8 * c, sum[r][c]);
  }
}

template <PackedFormat kFormat, int kPairGroups>
void Avx2Gemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start, PairSums y) {
  constexpr decltype(&Avx2Tile<kFormat, kPairGroups, 1>) kTiles[] = {
      nullptr, Avx2Tile<kFormat, kPairGroups, 1>, Avx2Tile<kFormat, kPairGroups, 2>,
      Avx2Tile<kFormat, kPairGroups, 3>, Avx2Tile<kFormat, kPairGroups, 4>};
  constexpr size_t kMost = 4;
  for (size_t panel = 0; panel < 2; ++panel) {
    const size_t column = panel * kPackedOutputs;
    // As even as possible, so that every tile has sums enough in flight.
    size_t tiles = (x.rows + kMost - 1) / kMost;
    for (size_t done = 0; tiles > 0; --tiles) {
      const size_t count = (x.rows - done + tiles - 1) / tiles;
      kTiles[count](panels[panel], k, x, done, {start.row + done * start.stride + column, start.stride},
                    {y.row + done * y.stride + column, y.stride});
      done += count;
    }
  }
}

}  // namespace
}  // namespace mobilevlm
