// The integer kernels of kernels/quant_kernels.h, written once over a vector class V and compiled per
// instruction set: the ISA file defines V and includes this file. Everything has internal linkage.
//
// V is one register wide: kLanes outputs, as Bytes (four inputs of each), Ints or F (floats; + - * are the
// compiler's). It offers
//   kSigned      weights meet Dot as signed q - offset; else unsigned q, and sums start at -offset * sum(x)
//   kGemmRows, kGemmPanels  the register tile: rows x panels of 16 outputs
//   LoadBytes, StoreBytes; Low4, High4 (nibbles of each byte), TwoBits<s> (v >> s & 3), BitTo<bit, value>
//   (value where the bit is set, else 0), AddWhereBit(v, mask, part, value) (bit i of the 64-bit mask belongs
//   to byte i of the group), ShiftLeft4, Or, Minus (bytewise, a constant)
//   Broadcast4 (four bytes to every lane), Dot(acc, weights, x), Zero, SetInts, ToFloat
//   LoadFloats, StoreFloats, Set, Fma (a * b + c); Halves, FromBytes, FromSignedBytes, FromLowNibbles,
//   FromHighNibbles (kLanes numbers as floats); QuantiseBlock (one block of one row; the groups
//   of its result lie 4 * rows bytes apart)
#pragma once

#include "kernels/kernels.h"
#include "kernels/quant_kernels.h"
#include "kernels/simd/packed_formats-inl.h"

namespace mobilevlm {
namespace {

template <class V>
constexpr int kParts = static_cast<int>(kPackedOutputs) / V::kLanes;

// How far ahead the stream of packed weights is prefetched.
constexpr size_t kPrefetchAhead = 8192;

// The scale of a block of activations from the bits of its largest magnitude: as integers, magnitudes order
// like the floats, infinity above them and NaN above that.
struct BlockScale {
  float scale;    // d
  float inverse;  // 1 / d
  bool ordinary;  // else every q is 0
};
inline BlockScale ScaleOf(uint32_t max_bits) {
  float max;
  __builtin_memcpy(&max, &max_bits, sizeof(max));
  if (max_bits >= 0x7F800000u) return {__builtin_nanf(""), 0.0f, false};
  if (max < 0x1p-100f) return {0.0f, 0.0f, false};
  return {max / 127.0f, 127.0f / max, true};
}

template <class V>
void QuantiseRows(const float* x, size_t x_stride, size_t rows, size_t k, int8_t* q, float* scale,
                  int32_t* sums) {
  for (size_t b = 0; b < k / kQuantBlock; ++b) {
    for (size_t r = 0; r < rows; ++r) {
      V::QuantiseBlock(x + r * x_stride + b * kQuantBlock, rows, q + (b * 8 * rows + r) * 4,
                       scale + b * rows + r, sums + 2 * b * rows + r);
    }
  }
}

// q as Dot and UnpackedPanel want it.
template <class V, class D, int b>
inline typename V::Bytes Weights(const typename D::Unit& unit, int group, int part) {
  const auto q = D::template Quants<b>(unit, group, part);
  if constexpr (V::kSigned && D::kTraits.offset != 0) return V::template Minus<D::kTraits.offset>(q);
  return q;
}

// Block b of a unit times one row, then the blocks behind it.
template <class V, class D, int b>
inline void GemvBlocks(const typename D::Unit& unit, const int8_t* q, const float* scale,
                       const int32_t* start, const float* scaled_sums, typename V::F (&y)[kParts<V>]) {
  constexpr int kSubs = D::kTraits.sub_blocks, kGroups = 8 / kSubs;
#pragma GCC unroll 2
  for (int s = 0; s < kSubs; ++s) {
    typename V::Ints acc[kParts<V>];
    for (auto& sum : acc) sum = V::kSigned ? V::Zero() : V::SetInts(start[b * kSubs + s]);
#pragma GCC unroll 8
    for (int g = s * kGroups; g < (s + 1) * kGroups; ++g) {
      const auto x = V::Broadcast4(q + b * static_cast<int>(kQuantBlock) + 4 * g);
#pragma GCC unroll 4
      for (int p = 0; p < kParts<V>; ++p) acc[p] = V::Dot(acc[p], Weights<V, D, b>(unit, g, p), x);
    }
    const auto d = V::Set(scale[b]);
#pragma GCC unroll 4
    for (int p = 0; p < kParts<V>; ++p) {
      y[p] = V::Fma(V::ToFloat(acc[p]), D::template Scale<b>(unit, s, p) * d, y[p]);
      if constexpr (D::kTraits.has_min) {
        y[p] = V::Fma(D::template Min<b>(unit, s, p), V::Set(scaled_sums[b * kSubs + s]), y[p]);
      }
    }
  }
  if constexpr (b + 1 < D::kBlocks) GemvBlocks<V, D, b + 1>(unit, q, scale, start, scaled_sums, y);
}

template <class V, class D>
void Gemv(const void* panel, size_t k, const QuantisedRows& x, float* y) {
  using Unit = typename D::Unit;
  constexpr size_t kBlocks = D::kBlocks, kSums = kBlocks * static_cast<size_t>(D::kTraits.sub_blocks);
  typename V::F sums[kParts<V>];
  for (int p = 0; p < kParts<V>; ++p) sums[p] = V::LoadFloats(y + p * V::kLanes);
  const auto* units = static_cast<const Unit*>(panel);
  const size_t count = k / D::kTraits.unit_inputs;
  for (size_t i = 0; i < count; ++i) {
    const auto* ahead = reinterpret_cast<const char*>(units + i) + kPrefetchAhead;
    for (size_t byte = 0; byte < sizeof(Unit); byte += 64) __builtin_prefetch(ahead + byte);
    GemvBlocks<V, D, 0>(units[i], x.q + i * D::kTraits.unit_inputs, x.scale + i * kBlocks,
                        V::kSigned ? nullptr : x.start + i * kSums,
                        D::kTraits.has_min ? x.scaled_sums + i * kSums : nullptr, sums);
  }
  for (int p = 0; p < kParts<V>; ++p) V::StoreFloats(y + p * V::kLanes, sums[p]);
}

template <class V, class D, int b>
inline void UnpackBlocks(const typename D::Unit& unit, const UnpackedPanel& out) {
  constexpr int kSubs = D::kTraits.sub_blocks;
  constexpr size_t kOutputs = kPackedOutputs;
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) {
    uint8_t* to = out.quants + static_cast<size_t>(b * 8 + g) * kPackedGroup;
#pragma GCC unroll 4
    for (int p = 0; p < kParts<V>; ++p) V::StoreBytes(to + p * 4 * V::kLanes, Weights<V, D, b>(unit, g, p));
  }
  for (int s = 0; s < kSubs; ++s) {
    const size_t to = static_cast<size_t>(b * kSubs + s) * kOutputs;
    for (int p = 0; p < kParts<V>; ++p) {
      V::StoreFloats(out.scales + to + p * V::kLanes, D::template Scale<b>(unit, s, p));
      if constexpr (D::kTraits.has_min) {
        V::StoreFloats(out.mins + to + p * V::kLanes, D::template Min<b>(unit, s, p));
      }
    }
  }
  if constexpr (b + 1 < D::kBlocks) UnpackBlocks<V, D, b + 1>(unit, out);
}

template <class V, class D>
void Unpack(const void* panel, size_t k, const UnpackedPanel& out) {
  using Unit = typename D::Unit;
  constexpr size_t kInputs = D::kTraits.unit_inputs;
  constexpr size_t kScales = D::kBlocks * static_cast<size_t>(D::kTraits.sub_blocks) * kPackedOutputs;
  const auto* units = static_cast<const Unit*>(panel);
  for (size_t i = 0; i < k / kInputs; ++i) {
    const auto* ahead = reinterpret_cast<const char*>(units + i) + kPrefetchAhead;
    for (size_t byte = 0; byte < sizeof(Unit); byte += 64) __builtin_prefetch(ahead + byte);
    UnpackBlocks<V, D, 0>(units[i], {out.quants + i * kInputs * kPackedOutputs, out.scales + i * kScales,
                                     D::kTraits.has_min ? out.mins + i * kScales : nullptr});
  }
}

// R rows from row `first` on, times kPanels unpacked panels. The integer sums of one block and the float sums
// of the whole tile live in registers.
template <class V, int R, int kPanels, int kSubs, bool kMin>
void QuantTile(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, size_t first, float* y,
               size_t y_stride) {
  constexpr int kColumns = kPanels * kParts<V>, kGroups = 8 / kSubs;
  const size_t rows = x.rows;
  const int8_t* q = x.q + first * 4;
  const float* scale = x.scale + first;
  const int32_t* start = x.start + first;
  const float* scaled_sums = x.scaled_sums + first;
  typename V::F sum[R][kColumns];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      sum[r][c] = V::LoadFloats(y + static_cast<size_t>(r) * y_stride + c * V::kLanes);
    }
  }
  size_t group = 0, block = 0;  // of the panels
  for (size_t b = 0; b < k / kQuantBlock; ++b, scale += rows) {
    for (int s = 0; s < kSubs; ++s, ++block, start += rows, scaled_sums += rows) {
      typename V::Ints acc[R][kColumns];
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const auto from = V::kSigned ? V::Zero() : V::SetInts(start[r]);
        for (auto& a : acc[r]) a = from;
      }
      for (int g = 0; g < kGroups; ++g, ++group, q += 4 * rows) {
        typename V::Bytes w[kColumns];
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) {
          w[c] = V::LoadBytes(panels[c / kParts<V>].quants + group * kPackedGroup +
                              static_cast<size_t>(c % kParts<V>) * sizeof(w[c]));
        }
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
          const auto value = V::Broadcast4(q + 4 * r);
#pragma GCC unroll 4
          for (int c = 0; c < kColumns; ++c) acc[r][c] = V::Dot(acc[r][c], w[c], value);
        }
      }
      typename V::F w_scale[kColumns], w_min[kColumns];
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) {
        const size_t at = block * kPackedOutputs + static_cast<size_t>(c % kParts<V> * V::kLanes);
        w_scale[c] = V::LoadFloats(panels[c / kParts<V>].scales + at);
        if constexpr (kMin) w_min[c] = V::LoadFloats(panels[c / kParts<V>].mins + at);
      }
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const auto d = V::Set(scale[r]);
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) {
          sum[r][c] = V::Fma(V::ToFloat(acc[r][c]), w_scale[c] * d, sum[r][c]);
          if constexpr (kMin) sum[r][c] = V::Fma(w_min[c], V::Set(scaled_sums[r]), sum[r][c]);
        }
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      V::StoreFloats(y + static_cast<size_t>(r) * y_stride + c * V::kLanes, sum[r][c]);
    }
  }
}

using QuantTileFn = void (*)(const UnpackedPanel*, size_t, const QuantisedRows&, size_t, float*, size_t);

// The tiles of 1 .. kGemmRows rows; index 0 is unused.
template <class V, int kSubs, bool kMin, int... kRows>
struct QuantTiles {
  static constexpr int kPanels = V::kGemmPanels;
  static constexpr QuantTileFn kTable[] = {nullptr, QuantTile<V, kRows, kPanels, kSubs, kMin>...};
};
template <class V, int kSubs, bool kMin, int kCount, int... kRows>
struct MakeQuantTiles : MakeQuantTiles<V, kSubs, kMin, kCount - 1, kCount, kRows...> {};
template <class V, int kSubs, bool kMin, int... kRows>
struct MakeQuantTiles<V, kSubs, kMin, 0, kRows...> : QuantTiles<V, kSubs, kMin, kRows...> {};

// Inputs that all rows of a tile meet before the next ones: two panels of them, 18 KiB with their scales,
// stay in the first-level cache.
constexpr size_t kGemmInputs = 512;

// The operands from input `begin` on.
template <int kSubs>
inline QuantisedRows RowsFrom(const QuantisedRows& x, size_t begin) {
  const size_t block = begin / kQuantBlock, sums = block * kSubs * x.rows;
  return {x.rows, x.q + begin * x.rows, x.scale + block * x.rows, x.start + sums, x.scaled_sums + sums};
}
template <int kSubs>
inline UnpackedPanel PanelFrom(const UnpackedPanel& panel, size_t begin) {
  const size_t scales = begin / kQuantBlock * kSubs * kPackedOutputs;
  return {panel.quants + begin * kPackedOutputs, panel.scales + scales, panel.mins + scales};
}

template <class V, int kSubs, bool kMin>
void QuantGemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, float* y, size_t y_stride) {
  constexpr size_t kMost = V::kGemmRows;
  for (size_t begin = 0; begin < k; begin += kGemmInputs) {
    const size_t depth = k - begin < kGemmInputs ? k - begin : kGemmInputs;
    const QuantisedRows part = RowsFrom<kSubs>(x, begin);
    for (int panel = 0; panel < 2; panel += V::kGemmPanels) {
      UnpackedPanel here[V::kGemmPanels];
      for (int p = 0; p < V::kGemmPanels; ++p) here[p] = PanelFrom<kSubs>(panels[panel + p], begin);
      float* out = y + static_cast<size_t>(panel) * kPackedOutputs;
      // As even as possible, so that every tile has sums enough in flight.
      size_t tiles = (x.rows + kMost - 1) / kMost;
      for (size_t done = 0; tiles > 0; --tiles) {
        const size_t count = (x.rows - done + tiles - 1) / tiles;
        MakeQuantTiles<V, kSubs, kMin, V::kGemmRows>::kTable[count](here, depth, part, done,
                                                                    out + done * y_stride, y_stride);
        done += count;
      }
    }
  }
}

template <class V>
constexpr QuantKernels MakeQuantKernels(const char* name) {
  using Q4_0 = DecodeNibbles<V, PackedQ4_0, kPackedQ4_0>;
  using Q4_1 = DecodeNibbles<V, PackedQ4_1, kPackedQ4_1>;
  using Q5_0 = DecodeFiveBits<V, PackedQ5_0, kPackedQ5_0>;
  using Q5_1 = DecodeFiveBits<V, PackedQ5_1, kPackedQ5_1>;
  using Q4_K = DecodePairs<V, PackedQ4_K, kPackedQ4_K>;
  return {
      .name = name,
      .signed_weights = V::kSigned,
      .quantise_rows = QuantiseRows<V>,
      .gemv = {Gemv<V, Q4_0>, Gemv<V, Q4_1>, Gemv<V, Q5_0>, Gemv<V, Q5_1>, Gemv<V, DecodeQ8_0<V>>,
               Gemv<V, DecodeQ2_K<V>>, Gemv<V, DecodeQ3_K<V>>, Gemv<V, Q4_K>, Gemv<V, DecodeQ5_K<V>>,
               Gemv<V, DecodeQ6_K<V>>},
      .unpack = {Unpack<V, Q4_0>, Unpack<V, Q4_1>, Unpack<V, Q5_0>, Unpack<V, Q5_1>, Unpack<V, DecodeQ8_0<V>>,
                 Unpack<V, DecodeQ2_K<V>>, Unpack<V, DecodeQ3_K<V>>, Unpack<V, Q4_K>,
                 Unpack<V, DecodeQ5_K<V>>, Unpack<V, DecodeQ6_K<V>>},
      .gemm = {{QuantGemm<V, 1, false>, QuantGemm<V, 1, true>},
               {QuantGemm<V, 2, false>, QuantGemm<V, 2, true>}},
  };
}

}  // namespace
}  // namespace mobilevlm
