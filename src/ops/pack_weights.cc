#include "ops/pack_weights.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

// The same block of sixteen rows; rows behind the matrix's last are nullptr and leave zeros.
template <class Block>
struct BlockColumn {
  const std::byte* row[kPackedOutputs];

  bool Has(size_t o) const { return row[o] != nullptr; }
  Block Get(size_t o, size_t index) const {
    Block block;
    std::memcpy(&block, row[o] + index * sizeof(Block), sizeof(Block));  // rows of a file are not aligned
    return block;
  }
};

// Four dwords; gcc and clang make them one register of any CPU.
using Quad = uint32_t __attribute__((vector_size(16)));

Quad LoadQuad(const uint8_t* p) {
  Quad quad;
  std::memcpy(&quad, p, sizeof(quad));
  return quad;
}

// The bytes of rows o .. o + 3 over `groups` groups, a multiple of four, four bytes of each row to each:
// squares of 4 x 4 dwords, transposed.
void SpreadFour(const uint8_t* const (&rows)[4], size_t groups, size_t o, uint8_t (*to)[kPackedGroup]) {
  for (size_t g = 0; g < groups; g += 4) {
    const Quad r[4] = {LoadQuad(rows[0] + 4 * g), LoadQuad(rows[1] + 4 * g), LoadQuad(rows[2] + 4 * g),
                       LoadQuad(rows[3] + 4 * g)};
    const Quad low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
               high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7),
               low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
               high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    const Quad square[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                            __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                            __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                            __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (size_t i = 0; i < 4; ++i) std::memcpy(to[g + i] + 4 * o, &square[i], sizeof(Quad));
  }
}

// Spreads the bytes of row o over `groups` groups, four to each.
void Spread(const void* bytes, size_t groups, size_t o, uint8_t (*to)[kPackedGroup]) {
  for (size_t g = 0; g < groups; ++g) {
    std::memcpy(to[g] + 4 * o, static_cast<const uint8_t*>(bytes) + 4 * g, 4);
  }
}

// Four bits of a row's 32 go to each group's mask.
void SpreadBits(const uint8_t (&bits)[4], size_t o, uint64_t (&masks)[8]) {
  for (size_t g = 0; g < 8; ++g) {
    masks[g] |= static_cast<uint64_t>(bits[g / 2] >> (g % 2 * 4) & 15) << (4 * o);
  }
}

// One row's block into its place in a unit that starts as zeros.
void Place(const BlockQ4_1& from, size_t o, PackedQ4_1& to) {
  Spread(from.qs, 4, o, to.quants);
  to.d[o] = from.d;
  to.m[o] = from.m;
}
void Place(const BlockQ5_0& from, size_t o, PackedQ5_0& to) {
  Spread(from.qs, 4, o, to.quants);
  SpreadBits(from.qh, o, to.high);
  to.d[o] = from.d;
}
void Place(const BlockQ5_1& from, size_t o, PackedQ5_1& to) {
  Spread(from.qs, 4, o, to.quants);
  SpreadBits(from.qh, o, to.high);
  to.d[o] = from.d;
  to.m[o] = from.m;
}
void Place(const BlockQ8_0& from, size_t o, PackedQ8_0& to) {
  uint8_t shifted[32];
  for (size_t i = 0; i < 32; ++i) shifted[i] = static_cast<uint8_t>(from.qs[i] ^ 0x80);  // q + 128
  Spread(shifted, 8, o, to.quants);
  to.d[o] = from.d;
}
void Place(const BlockQ2_K& from, size_t o, PackedQ2_K& to) {
  Spread(from.qs, 16, o, to.quants);
  for (size_t s = 0; s < 16; ++s) to.scales[s][o] = from.scales[s];
  to.d[o] = from.d;
  to.dmin[o] = from.dmin;
}
void Place(const BlockQ3_K& from, size_t o, PackedQ3_K& to) {
  Spread(from.qs, 16, o, to.quants);
  Spread(from.hmask, 8, o, to.high);
  for (size_t s = 0; s < 16; ++s) to.scales[s][o] = static_cast<int8_t>(UnpackScaleQ3_K(from.scales, s));
  to.d[o] = from.d;
}
template <class Block, class Unit>
void PlaceScalesAndMins(const Block& from, size_t o, Unit& to) {
  for (size_t s = 0; s < 8; ++s) {
    const ScaleMin scale_min = UnpackScaleMin(from.scales, s);
    to.scales[s][o] = scale_min.scale;
    to.mins[s][o] = scale_min.min;
  }
  to.d[o] = from.d;
  to.dmin[o] = from.dmin;
}
void Place(const BlockQ4_K& from, size_t o, PackedQ4_K& to) {
  Spread(from.qs, 32, o, to.quants);
  PlaceScalesAndMins(from, o, to);
}
void Place(const BlockQ5_K& from, size_t o, PackedQ5_K& to) {
  Spread(from.qs, 32, o, to.quants);
  Spread(from.qh, 8, o, to.high);
  PlaceScalesAndMins(from, o, to);
}
void Place(const BlockQ6_K& from, size_t o, PackedQ6_K& to) {
  Spread(from.ql, 32, o, to.low);
  Spread(from.qh, 16, o, to.high);
  for (size_t s = 0; s < 16; ++s) to.scales[s][o] = from.scales[s];
  to.d[o] = from.d;
}

template <class Block, class Unit>
void PackPanel(const BlockColumn<Block>& column, size_t units, std::byte* packed) {
  for (size_t u = 0; u < units; ++u) {
    Unit unit = {};
    for (size_t o = 0; o < kPackedOutputs; ++o) {
      if (column.Has(o)) Place(column.Get(o, u), o, unit);
    }
    std::memcpy(packed + u * sizeof(Unit), &unit, sizeof(Unit));
  }
}

// Q4_0, the format that is loaded most often, without the detour over single rows.
template <>
void PackPanel<BlockQ4_0, PackedQ4_0>(const BlockColumn<BlockQ4_0>& column, size_t units, std::byte* packed) {
  static constexpr BlockQ4_0 kNothing{};
  for (size_t u = 0; u < units; ++u, packed += sizeof(PackedQ4_0)) {
    auto* const quants = reinterpret_cast<uint8_t(*)[kPackedGroup]>(packed);
    uint16_t d[kPackedOutputs];
    for (size_t o = 0; o < kPackedOutputs; o += 4) {
      const uint8_t* from[4];
      for (size_t i = 0; i < 4; ++i) {
        const void* block = column.Has(o + i)
                                ? static_cast<const void*>(column.row[o + i] + u * sizeof(BlockQ4_0))
                                : &kNothing;
        from[i] = static_cast<const uint8_t*>(block) + offsetof(BlockQ4_0, qs);
        std::memcpy(&d[o + i], static_cast<const uint8_t*>(block) + offsetof(BlockQ4_0, d), sizeof(d[0]));
      }
      SpreadFour(from, 4, o, quants);
    }
    std::memcpy(packed + offsetof(PackedQ4_0, d), d, sizeof(d));
  }
}

template <class Block, class Unit>
void Pack(const std::byte* rows, size_t row_bytes, size_t out, size_t units, size_t begin, size_t end,
          std::byte* packed) {
  for (size_t panel = begin; panel < end; ++panel) {
    BlockColumn<Block> column{};
    for (size_t o = 0; o < kPackedOutputs; ++o) {
      const size_t row = panel * kPackedOutputs + o;
      column.row[o] = row < out ? rows + row * row_bytes : nullptr;
    }
    PackPanel<Block, Unit>(column, units, packed + panel * units * sizeof(Unit));
  }
}

// Nearest even, for |x| < 2^22; unlike std::nearbyint it is a few instructions on every CPU.
float Round(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: no bits are left behind the point
  return (x + kShift) - kShift;
}

uint8_t MostOf(const int8_t (&q)[32]) {
  uint8_t most = 0;
  for (const int8_t value : q) {
    const auto magnitude = static_cast<uint8_t>(value < 0 ? -value : value);
    most = std::max(most, magnitude);
  }
  return most;
}

// q times the ratio of the old scale to the new one, + 128.
void Rescale(const int8_t (&q)[32], float ratio, uint8_t* shifted) {
  if (ratio == 1.0f) {  // as a rule the block that needs the larger scale
    for (size_t i = 0; i < 32; ++i) shifted[i] = static_cast<uint8_t>(q[i] ^ 0x80);
    return;
  }
  for (size_t i = 0; i < 32; ++i) {
    shifted[i] = static_cast<uint8_t>(static_cast<int>(Round(static_cast<float>(q[i]) * ratio)) + 128);
  }
}

// The blocks of Q8_0 that one unit of kPackedLong replaces, rounded to the least scale that reaches them all.
// A scale that is no number stays one. Returns the scale.
uint16_t MakeLong(const BlockQ8_0 (&from)[kLongBlock / 32], uint8_t (&shifted)[kLongBlock]) {
  float max = 0;
  for (const BlockQ8_0& block : from) {
    const float reach = std::abs(F16ToF32(block.d)) * static_cast<float>(MostOf(block.qs));
    if (!(reach <= max) && !std::isnan(max)) max = reach;
  }
  const uint16_t half = F32ToF16(max / 127.0f);
  const float d = F16ToF32(half);
  for (size_t b = 0; b < kLongBlock / 32; ++b) {
    const float ratio = d > 0 && std::isfinite(d) ? F16ToF32(from[b].d) / d : 0.0f;
    Rescale(from[b].qs, ratio, shifted + 32 * b);
  }
  return half;
}

void PackLong(const std::byte* rows, size_t row_bytes, size_t out, size_t units, size_t begin, size_t end,
              std::byte* packed) {
  uint8_t shifted[kPackedOutputs][kLongBlock];
  for (size_t panel = begin; panel < end; ++panel) {
    for (size_t u = 0; u < units; ++u) {
      std::byte* const unit = packed + (panel * units + u) * sizeof(PackedLong);
      uint16_t d[kPackedOutputs] = {};
      for (size_t o = 0; o < kPackedOutputs; ++o) {
        if (panel * kPackedOutputs + o >= out) {
          std::memset(shifted[o], 0, sizeof(shifted[o]));
          continue;
        }
        BlockQ8_0 blocks[kLongBlock / 32];
        std::memcpy(blocks, rows + (panel * kPackedOutputs + o) * row_bytes + u * sizeof(blocks),
                    sizeof(blocks));
        d[o] = MakeLong(blocks, shifted[o]);
      }
      for (size_t o = 0; o < kPackedOutputs; o += 4) {
        SpreadFour({shifted[o], shifted[o + 1], shifted[o + 2], shifted[o + 3]}, kLongBlock / 4, o,
                   reinterpret_cast<uint8_t(*)[kPackedGroup]>(unit + offsetof(PackedLong, quants)));
      }
      std::memcpy(unit + offsetof(PackedLong, d), d, sizeof(d));
    }
  }
}

}  // namespace

std::optional<PackedFormat> FindPackedFormat(DType type, size_t in, PackScales scales) {
  if (type == DType::kQ8_0 && scales == PackScales::kLongBlocks && in % kLongBlock == 0) return kPackedLong;
  switch (type) {
    case DType::kQ4_0:
      return kPackedQ4_0;
    case DType::kQ4_1:
      return kPackedQ4_1;
    case DType::kQ5_0:
      return kPackedQ5_0;
    case DType::kQ5_1:
      return kPackedQ5_1;
    case DType::kQ8_0:
      return kPackedQ8_0;
    case DType::kQ2_K:
      return kPackedQ2_K;
    case DType::kQ3_K:
      return kPackedQ3_K;
    case DType::kQ4_K:
      return kPackedQ4_K;
    case DType::kQ5_K:
      return kPackedQ5_K;
    case DType::kQ6_K:
      return kPackedQ6_K;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return std::nullopt;
  }
  return std::nullopt;
}

void PackPanels(PackedFormat format, const std::byte* rows, size_t row_bytes, size_t out, size_t in,
                size_t begin, size_t end, std::byte* packed) {
  const size_t units = in / kPackedTraits[format].unit_inputs;
  switch (format) {
    case kPackedQ4_0:
      return Pack<BlockQ4_0, PackedQ4_0>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ4_1:
      return Pack<BlockQ4_1, PackedQ4_1>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ5_0:
      return Pack<BlockQ5_0, PackedQ5_0>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ5_1:
      return Pack<BlockQ5_1, PackedQ5_1>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ8_0:
      return Pack<BlockQ8_0, PackedQ8_0>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ2_K:
      return Pack<BlockQ2_K, PackedQ2_K>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ3_K:
      return Pack<BlockQ3_K, PackedQ3_K>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ4_K:
      return Pack<BlockQ4_K, PackedQ4_K>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ5_K:
      return Pack<BlockQ5_K, PackedQ5_K>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedQ6_K:
      return Pack<BlockQ6_K, PackedQ6_K>(rows, row_bytes, out, units, begin, end, packed);
    case kPackedLong:
      return PackLong(rows, row_bytes, out, units, begin, end, packed);
    case kPackedFormatCount:
      break;
  }
  MVLM_CHECK(false, "no packed format {}", static_cast<int>(format));
}

}  // namespace mobilevlm
