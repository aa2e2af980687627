// Packed weights: how the quantised GGUF formats lie in memory while the engine runs.
//
// A panel holds 16 outputs (rows of the file) over all inputs, as a sequence of units; a unit covers the
// inputs of one GGUF block, 32 or 256. Byte k of sixteen rows would be a gather; here the sixteen rows'
// dwords stand side by side, so that one 64-byte load is sixteen outputs times four inputs, what the dot
// product instructions (VPDPBUSD, SDOT) take:
//
//     group g of a unit: bytes [output 0: inputs 4g .. 4g+3][output 1: the same] ... [output 15]
//
// Packing moves whole dwords of the GGUF blocks and never splits a byte, so nibbles and bit planes keep the
// meaning that the format gives them (tensor/blocks.h). Sizes equal the file's, but for Q3_K, Q4_K and Q5_K
// whose 6-bit scales are widened to bytes (2 to 4 % more). The layout is the same for every instruction set.
//
// A weight is (q - offset) * scale + min, with q an unsigned integer of at most 8 bits and one scale (and
// min) per output and block of 32 inputs (kPackedLong: more), or half a block for the formats with two
// sub-blocks. scale = d * an integer of at most
// 8 bits, and min likewise, are exact in float.
//
// Included by files compiled with ISA flags: plain types only.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace mobilevlm {

constexpr size_t kPackedOutputs = 16;
constexpr size_t kPackedGroup = 4 * kPackedOutputs;  // bytes: four inputs of sixteen outputs
constexpr size_t kQuantBlock = 32;                   // inputs that share a scale in the files' formats
constexpr size_t kLongBlock = 64;                    // the same in kPackedLong

// The order indexes the tables of QuantKernels.
enum PackedFormat {
  kPackedQ4_0,
  kPackedQ4_1,
  kPackedQ5_0,
  kPackedQ5_1,
  kPackedQ8_0,
  kPackedQ2_K,
  kPackedQ3_K,
  kPackedQ4_K,
  kPackedQ5_K,
  kPackedQ6_K,
  kPackedLong,  // no file holds it: what Q8_0 may be packed into
  kPackedFormatCount,
};

// Units. d, m and dmin are halves, one per output.
struct PackedQ4_0 {
  uint8_t quants[4][kPackedGroup];  // low nibbles: inputs 0 .. 15, high nibbles: 16 .. 31
  uint16_t d[kPackedOutputs];
};
struct PackedQ4_1 {
  uint8_t quants[4][kPackedGroup];
  uint16_t d[kPackedOutputs];
  uint16_t m[kPackedOutputs];
};
struct PackedQ5_0 {
  uint8_t quants[4][kPackedGroup];
  uint64_t high[8];  // bit i of high[g]: the fifth bit of byte i of group g
  uint16_t d[kPackedOutputs];
};
struct PackedQ5_1 {
  uint8_t quants[4][kPackedGroup];
  uint64_t high[8];
  uint16_t d[kPackedOutputs];
  uint16_t m[kPackedOutputs];
};
struct PackedQ8_0 {
  uint8_t quants[8][kPackedGroup];  // q + 128
  uint16_t d[kPackedOutputs];
};
struct PackedQ2_K {
  uint8_t quants[16][kPackedGroup];    // [half of 128 inputs][8 groups]; bits 2j, 2j+1: block j of the half
  uint8_t scales[16][kPackedOutputs];  // per 16 inputs: low nibble scale, high nibble min
  uint16_t d[kPackedOutputs];
  uint16_t dmin[kPackedOutputs];
};
struct PackedQ3_K {
  uint8_t quants[16][kPackedGroup];   // as Q2_K
  uint8_t high[8][kPackedGroup];      // bit j: the third bit of block j of all 8
  int8_t scales[16][kPackedOutputs];  // less 32 already
  uint16_t d[kPackedOutputs];
};
struct PackedQ4_K {
  uint8_t quants[32][kPackedGroup];  // [pair of blocks][8 groups]; low nibbles: even block, high: odd block
  uint8_t scales[8][kPackedOutputs];
  uint8_t mins[8][kPackedOutputs];
  uint16_t d[kPackedOutputs];
  uint16_t dmin[kPackedOutputs];
};
struct PackedQ5_K {
  uint8_t quants[32][kPackedGroup];  // as Q4_K
  uint8_t high[8][kPackedGroup];     // bit j: the fifth bit of block j
  uint8_t scales[8][kPackedOutputs];
  uint8_t mins[8][kPackedOutputs];
  uint16_t d[kPackedOutputs];
  uint16_t dmin[kPackedOutputs];
};
struct PackedQ6_K {
  uint8_t low[32][kPackedGroup];      // [half][16 groups]; low nibbles: blocks 0, 1 of the half, high: 2, 3
  uint8_t high[16][kPackedGroup];     // [half][8 groups]; bits 2j, 2j+1: block j of the half
  int8_t scales[16][kPackedOutputs];  // per 16 inputs
  uint16_t d[kPackedOutputs];
};

// Two or more blocks of Q8_0 rounded to one scale: fewer scales to multiply with, at a small loss.
struct PackedLong {
  uint8_t quants[kLongBlock / 4][kPackedGroup];  // q + 128
  uint16_t d[kPackedOutputs];
};

// What a caller needs to know about a packed format.
struct PackedTraits {
  size_t unit_inputs;
  size_t unit_bytes;
  size_t block;    // inputs that share the scale of an activation
  int sub_blocks;  // scales of weights per block: 1 or 2
  bool has_min;
  int offset;
  int bits;  // of q
};

constexpr PackedTraits kPackedTraits[kPackedFormatCount] = {
    {32, sizeof(PackedQ4_0), kQuantBlock, 1, false, 8, 4},
    {32, sizeof(PackedQ4_1), kQuantBlock, 1, true, 0, 4},
    {32, sizeof(PackedQ5_0), kQuantBlock, 1, false, 16, 5},
    {32, sizeof(PackedQ5_1), kQuantBlock, 1, true, 0, 5},
    {32, sizeof(PackedQ8_0), kQuantBlock, 1, false, 128, 8},
    {256, sizeof(PackedQ2_K), kQuantBlock, 2, true, 0, 2},
    {256, sizeof(PackedQ3_K), kQuantBlock, 2, false, 4, 3},
    {256, sizeof(PackedQ4_K), kQuantBlock, 1, true, 0, 4},
    {256, sizeof(PackedQ5_K), kQuantBlock, 1, true, 0, 5},
    {256, sizeof(PackedQ6_K), kQuantBlock, 2, false, 32, 6},
    {kLongBlock, sizeof(PackedLong), kLongBlock, 1, false, 128, 8},
};

}  // namespace mobilevlm
