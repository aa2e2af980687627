// What the users of AMX tiles share.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace mobilevlm {
namespace {

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// gcc's tile intrinsics do not say that they read and write memory: what was written must be there before
// them, and what they write must not be read too early.
inline void FinishWrites() { __asm__ volatile("" ::: "memory"); }

}  // namespace
}  // namespace mobilevlm
