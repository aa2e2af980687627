// A square of 16 x 16 dwords, transposed in registers.
#pragma once

#include <immintrin.h>

namespace mobilevlm {
namespace {

inline void Transpose16(__m512 (&t)[16]) {
  __m512 u[16];
#pragma GCC unroll 4
  for (int g = 0; g < 16; g += 4) {  // 4 x 4 squares inside the 128-bit lanes
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(t[g], t[g + 1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(t[g], t[g + 1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(t[g + 2], t[g + 3]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(t[g + 2], t[g + 3]));
    u[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    u[g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    u[g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    u[g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {  // then the 4 x 4 square of lanes
    const __m512 even_low = _mm512_shuffle_f32x4(u[c], u[c + 4], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(u[c], u[c + 4], 0xDD);
    const __m512 even_high = _mm512_shuffle_f32x4(u[c + 8], u[c + 12], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(u[c + 8], u[c + 12], 0xDD);
    t[c] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    t[c + 4] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    t[c + 8] = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
    t[c + 12] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
  }
}

}  // namespace
}  // namespace mobilevlm
