// The reference of kernels/quant_kernels.h: one weight at a time, no intrinsics.
#include <bit>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/quant_kernels.h"
#include "kernels/tables.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

// The integer q of input k (within the unit) and output o. Group and byte of an input: k / 4 and k % 4.
size_t Byte(size_t k, size_t o) { return o * 4 + k % 4; }

int Nibble(const uint8_t (&quants)[4][kPackedGroup], size_t k, size_t o) {
  return quants[k % 16 / 4][Byte(k, o)] >> (k < 16 ? 0 : 4) & 15;
}
int FifthBit(const uint64_t (&high)[8], size_t k, size_t o) {
  return static_cast<int>(high[k / 4] >> Byte(k, o) & 1) << 4;
}
int PairNibble(const uint8_t (&quants)[32][kPackedGroup], size_t k, size_t o) {
  return quants[k / 64 * 8 + k % 32 / 4][Byte(k, o)] >> (k / 32 % 2 * 4) & 15;
}
int TwoBits(const uint8_t (&quants)[16][kPackedGroup], size_t k, size_t o) {
  return quants[k / 128 * 8 + k % 32 / 4][Byte(k, o)] >> (k / 32 % 4 * 2) & 3;
}
int BlockBit(const uint8_t (&high)[8][kPackedGroup], size_t k, size_t o) {
  return high[k % 32 / 4][Byte(k, o)] >> (k / 32) & 1;
}

int Quant(const PackedQ4_0& u, size_t k, size_t o) { return Nibble(u.quants, k, o); }
int Quant(const PackedQ4_1& u, size_t k, size_t o) { return Nibble(u.quants, k, o); }
int Quant(const PackedQ5_0& u, size_t k, size_t o) { return Nibble(u.quants, k, o) | FifthBit(u.high, k, o); }
int Quant(const PackedQ5_1& u, size_t k, size_t o) { return Nibble(u.quants, k, o) | FifthBit(u.high, k, o); }
int Quant(const PackedQ8_0& u, size_t k, size_t o) { return u.quants[k / 4][Byte(k, o)]; }
int Quant(const PackedLong& u, size_t k, size_t o) { return u.quants[k / 4][Byte(k, o)]; }
int Quant(const PackedQ2_K& u, size_t k, size_t o) { return TwoBits(u.quants, k, o); }
int Quant(const PackedQ3_K& u, size_t k, size_t o) {
  return TwoBits(u.quants, k, o) | BlockBit(u.high, k, o) << 2;
}
int Quant(const PackedQ4_K& u, size_t k, size_t o) { return PairNibble(u.quants, k, o); }
int Quant(const PackedQ5_K& u, size_t k, size_t o) {
  return PairNibble(u.quants, k, o) | BlockBit(u.high, k, o) << 4;
}
int Quant(const PackedQ6_K& u, size_t k, size_t o) {
  const size_t half = k / 128, block = k / 32 % 4, group = k % 32 / 4;
  const int low = u.low[half * 16 + block % 2 * 8 + group][Byte(k, o)] >> (block / 2 * 4) & 15;
  return low | (u.high[half * 8 + group][Byte(k, o)] >> (block * 2) & 3) << 4;
}

// Scale and min of output o at input k.
template <class Unit>
float Scale(const Unit& u, size_t, size_t o) {
  return F16ToF32(u.d[o]);
}
float Scale(const PackedQ2_K& u, size_t k, size_t o) {
  return F16ToF32(u.d[o]) * static_cast<float>(u.scales[k / 16][o] & 15);
}
float Scale(const PackedQ3_K& u, size_t k, size_t o) {
  return F16ToF32(u.d[o]) * static_cast<float>(u.scales[k / 16][o]);
}
float Scale(const PackedQ4_K& u, size_t k, size_t o) {
  return F16ToF32(u.d[o]) * static_cast<float>(u.scales[k / 32][o]);
}
float Scale(const PackedQ5_K& u, size_t k, size_t o) {
  return F16ToF32(u.d[o]) * static_cast<float>(u.scales[k / 32][o]);
}
float Scale(const PackedQ6_K& u, size_t k, size_t o) {
  return F16ToF32(u.d[o]) * static_cast<float>(u.scales[k / 16][o]);
}

template <class Unit>
float Min(const Unit&, size_t, size_t) {
  return 0.0f;
}
float Min(const PackedQ4_1& u, size_t, size_t o) { return F16ToF32(u.m[o]); }
float Min(const PackedQ5_1& u, size_t, size_t o) { return F16ToF32(u.m[o]); }
float Min(const PackedQ2_K& u, size_t k, size_t o) {
  return 0.0f - F16ToF32(u.dmin[o]) * static_cast<float>(u.scales[k / 16][o] >> 4);
}
float Min(const PackedQ4_K& u, size_t k, size_t o) {
  return 0.0f - F16ToF32(u.dmin[o]) * static_cast<float>(u.mins[k / 32][o]);
}
float Min(const PackedQ5_K& u, size_t k, size_t o) {
  return 0.0f - F16ToF32(u.dmin[o]) * static_cast<float>(u.mins[k / 32][o]);
}

void QuantiseRows(const float* x, size_t x_stride, size_t rows, size_t k, size_t block, int8_t* q,
                  float* scale, int32_t* sums) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t b = 0; b < k; b += block) {
      const float* from = x + r * x_stride + b;
      uint32_t max_bits = 0;  // of |x|: as integers they order like the floats, NaN above infinity
      for (size_t i = 0; i < block; ++i) {
        const uint32_t bits = std::bit_cast<uint32_t>(from[i]) & 0x7FFFFFFFu;
        if (bits > max_bits) max_bits = bits;
      }
      const float max = std::bit_cast<float>(max_bits);
      const bool finite = max_bits < 0x7F800000u;
      const bool ordinary = finite && max >= 0x1p-100f;
      scale[b / block * rows + r] = ordinary ? max / 127.0f : finite ? 0.0f : NAN;
      const float inverse = ordinary ? 127.0f / max : 0.0f;
      for (size_t i = 0; i < block; ++i) {
        const int value = ordinary ? static_cast<int>(std::nearbyint(from[i] * inverse)) : 0;
        q[((b + i) / 4 * rows + r) * 4 + i % 4] = static_cast<int8_t>(value);
        int32_t& sum = sums[(b + i) / 16 * rows + r];
        sum = i % 16 == 0 ? value : sum + value;
      }
    }
  }
}

template <class Unit, PackedFormat kFormat>
void Unpack(const void* panel, size_t k, const UnpackedPanel& out) {
  constexpr PackedTraits kTraits = kPackedTraits[kFormat];
  constexpr size_t kSub = kTraits.block / static_cast<size_t>(kTraits.sub_blocks);
  const auto* units = static_cast<const Unit*>(panel);
  for (size_t i = 0; i < k; ++i) {
    const Unit& unit = units[i / kTraits.unit_inputs];
    const size_t in_unit = i % kTraits.unit_inputs;
    for (size_t o = 0; o < kPackedOutputs; ++o) {
      out.quants[i / 4 * kPackedGroup + Byte(i, o)] =
          static_cast<uint8_t>(Quant(unit, in_unit, o) - kTraits.offset);
      if (i % kSub != 0) continue;
      out.scales[i / kSub * kPackedOutputs + o] = Scale(unit, in_unit, o);
      if (kTraits.has_min) out.mins[i / kSub * kPackedOutputs + o] = Min(unit, in_unit, o);
    }
  }
}

// One row times one output, as quant_kernels.h writes it.
float Product(const UnpackedPanel& panel, size_t o, size_t k, size_t block, int sub_blocks, bool has_min,
              const QuantisedRows& x, size_t r, float y) {
  const size_t sub = block / static_cast<size_t>(sub_blocks);
  for (size_t s = 0; s < k / sub; ++s) {
    int32_t acc = 0;
    for (size_t i = s * sub; i < (s + 1) * sub; ++i) {
      acc += static_cast<int8_t>(panel.quants[i / 4 * kPackedGroup + Byte(i, o)]) *
             x.q[(i / 4 * x.rows + r) * 4 + i % 4];
    }
    const float scale = panel.scales[s * kPackedOutputs + o] * x.scale[s * sub / block * x.rows + r];
    y = std::fma(static_cast<float>(acc), scale, y);
    if (has_min) y = std::fma(panel.mins[s * kPackedOutputs + o], x.scaled_sums[s * x.rows + r], y);
  }
  return y;
}

template <PackedFormat kFormat>
void Gemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start, PairSums y) {
  constexpr PackedTraits kTraits = kPackedTraits[kFormat];
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t o = 0; o < 2 * kPackedOutputs; ++o) {
      y.row[r * y.stride + o] =
          Product(panels[o / kPackedOutputs], o % kPackedOutputs, k, kTraits.block, kTraits.sub_blocks,
                  kTraits.has_min, x, r, start.row[r * start.stride + o]);
    }
  }
}

template <class Unit, PackedFormat kFormat>
void Gemv(const void* panel, size_t k, const QuantisedRows& x, float* y) {
  constexpr PackedTraits kTraits = kPackedTraits[kFormat];
  constexpr size_t kChunk = 256;
  uint8_t quants[kChunk * kPackedOutputs];
  float scales[kChunk / 16 * kPackedOutputs], mins[kChunk / 16 * kPackedOutputs];
  const UnpackedPanel unpacked{quants, scales, mins};
  for (size_t i = 0; i < k; i += kChunk) {
    const size_t depth = k - i < kChunk ? k - i : kChunk;
    Unpack<Unit, kFormat>(static_cast<const Unit*>(panel) + i / kTraits.unit_inputs, depth, unpacked);
    const size_t block = i / kTraits.block;
    const QuantisedRows part{
        1, x.q + i, x.scale + block, x.start,
        kTraits.has_min ? x.scaled_sums + block * static_cast<size_t>(kTraits.sub_blocks) : nullptr};
    for (size_t o = 0; o < kPackedOutputs; ++o) {
      y[o] = Product(unpacked, o, depth, kTraits.block, kTraits.sub_blocks, kTraits.has_min, part, 0, y[o]);
    }
  }
}

}  // namespace

constinit const QuantKernels kGenericQuantKernels = {
    .name = "generic",
    .signed_weights = {true, true, true, true, true, true, true, true, true, true, true},
    .whole_blocks = false,
    .tile_rows = kTileRows,
    .quantise_rows = QuantiseRows,
    .gemv = {Gemv<PackedQ4_0, kPackedQ4_0>, Gemv<PackedQ4_1, kPackedQ4_1>, Gemv<PackedQ5_0, kPackedQ5_0>,
             Gemv<PackedQ5_1, kPackedQ5_1>, Gemv<PackedQ8_0, kPackedQ8_0>, Gemv<PackedQ2_K, kPackedQ2_K>,
             Gemv<PackedQ3_K, kPackedQ3_K>, Gemv<PackedQ4_K, kPackedQ4_K>, Gemv<PackedQ5_K, kPackedQ5_K>,
             Gemv<PackedQ6_K, kPackedQ6_K>, Gemv<PackedLong, kPackedLong>},
    .few_rows = nullptr,
    .unpack = {Unpack<PackedQ4_0, kPackedQ4_0>, Unpack<PackedQ4_1, kPackedQ4_1>,
               Unpack<PackedQ5_0, kPackedQ5_0>, Unpack<PackedQ5_1, kPackedQ5_1>,
               Unpack<PackedQ8_0, kPackedQ8_0>, Unpack<PackedQ2_K, kPackedQ2_K>,
               Unpack<PackedQ3_K, kPackedQ3_K>, Unpack<PackedQ4_K, kPackedQ4_K>,
               Unpack<PackedQ5_K, kPackedQ5_K>, Unpack<PackedQ6_K, kPackedQ6_K>,
               Unpack<PackedLong, kPackedLong>},
    .gemm = {Gemm<kPackedQ4_0>, Gemm<kPackedQ4_1>, Gemm<kPackedQ5_0>, Gemm<kPackedQ5_1>, Gemm<kPackedQ8_0>,
             Gemm<kPackedQ2_K>, Gemm<kPackedQ3_K>, Gemm<kPackedQ4_K>, Gemm<kPackedQ5_K>, Gemm<kPackedQ6_K>,
             Gemm<kPackedLong>},
    .begin_gemm = [](size_t, int) {},
    .end_gemm = [] {},
};

}  // namespace mobilevlm
