// The quantised blocks exactly as GGUF stores them (little-endian, no padding). Plain structs and
// <stdint.h> only: files compiled with ISA flags include this header.
//
// x[i] is element i of a block, d and m are IEEE halves (raw bits).
#pragma once

#include <stdint.h>

// Q8_0: 32 elements, x[i] = d * qs[i].
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34, "Q8_0 is 34 bytes on disk");
