// The quantised blocks exactly as GGUF stores them (little-endian, no padding). Plain structs and
// <stdint.h> only: files compiled with ISA flags include this header.
//
// In the prose, x[i] is element i of a block, d, m, dmin are IEEE halves (raw bits here), and q is the small
// unsigned number of an element. tensor/dequantize.cc says the same in scalar code.
//
// The small formats have one scale per 32 elements. Those with a nibble per element store elements i and
// i + 16 in byte i, the first one in the low half.
//
// The K formats ("super-blocks") have 256 elements: a half scales 16 sub-blocks of 16 or 8 of 32, each with
// a small integer scale of its own, so that a scale costs few bits and a block still follows its outliers.
#pragma once

#include <stdint.h>

// Q4_0, 4.5 bits per element: x = d * (q - 8), q in 0..15.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18, "Q4_0 is 18 bytes on disk");

// Q4_1, 5 bits: x = d * q + m, q in 0..15.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20, "Q4_1 is 20 bytes on disk");

// Q5_0, 5.5 bits: x = d * (q - 16), q in 0..31. Bit i of qh (a little-endian 32-bit number) is the fifth bit
// of element i.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22, "Q5_0 is 22 bytes on disk");

// Q5_1, 6 bits: x = d * q + m, q in 0..31; qh as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24, "Q5_1 is 24 bytes on disk");

// Q8_0, 8.5 bits: x[i] = d * qs[i].
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34, "Q8_0 is 34 bytes on disk");

// Q2_K, 2.625 bits: 16 sub-blocks of 16. Sub-block s has scale = low nibble and min = high nibble of
// scales[s]: x = d * scale * q - dmin * min, q in 0..3. Element 128 h + 32 p + l (h < 2, p < 4, l < 32) is
// in bits 2p and 2p + 1 of qs[32 h + l].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84, "Q2_K is 84 bytes on disk");

// Q3_K, 3.4375 bits: 16 sub-blocks of 16 with 6-bit scales: x = d * (scale - 32) * (q - 4), q in 0..7. The
// low two bits of q lie in qs as in Q2_K; the third of element 32 g + l (g < 8) is bit g of hmask[l].
// Of the scale of sub-block s, the low four bits are nibble s / 8 of scales[s % 8], and the high two are
// bits 2 (s / 4) and 2 (s / 4) + 1 of scales[8 + s % 4].
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110, "Q3_K is 110 bytes on disk");

// Q4_K, 4.5 bits: 8 sub-blocks of 32 with 6-bit scales and mins: x = d * scale * q - dmin * min, q in 0..15.
// Element 64 g + l (g < 4, l < 32) is the low nibble of qs[32 g + l], element 64 g + 32 + l the high one.
// The scales and mins of sub-blocks 0..3 are the low six bits of scales[s] and scales[4 + s]; of sub-blocks
// 4..7, scales[4 + s] holds the low four bits of the scale (low nibble) and of the min (high nibble), and
// the top two bits of scales[s - 4] and of scales[s] are the high two bits of the scale and of the min.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144, "Q4_K is 144 bytes on disk");

// Q5_K, 5.5 bits: as Q4_K, q in 0..31: the fifth bit of element 32 s + l (s < 8, l < 32) is bit s of qh[l].
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176, "Q5_K is 176 bytes on disk");

// Q6_K, 6.5625 bits: 16 sub-blocks of 16 with signed 8-bit scales: x = d * scales[s] * (q - 32), q in 0..63.
// Element 128 h + 32 p + l (h < 2, p < 4, l < 32): the low four bits are nibble p / 2 of
// ql[64 h + 32 (p % 2) + l], the high two are bits 2p and 2p + 1 of qh[32 h + l].
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210, "Q6_K is 210 bytes on disk");
