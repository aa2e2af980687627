// The integer kernels of kernels/quant_kernels.h, written once over a vector class V and compiled per
// instruction set: the ISA file defines V and includes this file. Everything has internal linkage.
//
// V is one register wide: kLanes outputs, as Bytes (four inputs of each), Ints or F (floats; + - * are the
// compiler's). It offers
//   kSigned      weights meet Dot as signed q - offset; else unsigned q, and sums start at -offset * sum(x)
//   kPairs       (may be missing) two products are summed in 16 bits, weights unsigned, by FirstPairs(w, x)
//                and AddPairs(pairs, w, x), and in 32 by Widen(acc, pairs). Formats of few bits sum several
//                groups so, whatever kSigned says; the others take Dot
//   kGemmRows, kGemmPanels  the register tile of QuantGemm: rows x panels of 16 outputs
//   kWholeBlocks  QuantKernels::whole_blocks
//   LoadBytes, StoreBytes; Low4, High4 (nibbles of each byte), TwoBits<s> (v >> s & 3), BitTo<bit, value>
//   (value where the bit is set, else 0), AddWhereBit(v, mask, part, value) (bit i of the 64-bit mask belongs
//   to byte i of the group), ShiftLeft4, Or, Minus (bytewise, a constant)
//   Broadcast4 (four bytes to every lane), Dot(acc, weights, x), Zero, SetInts, ToFloat
//   LoadFloats, StoreFloats, Set, Fma (a * b + c); Halves, FromBytes, FromSignedBytes, FromLowNibbles,
//   FromHighNibbles (kLanes numbers as floats)
//   MaxBits (the bits of the largest magnitude of 32 floats), Quantise32(x, block scale, q, step, sums,
//   sums_step): 32 inputs of one row, each group of four of the result `step` bytes after the one before
#pragma once

#include "kernels/kernels.h"
#include "kernels/quant_kernels.h"
#include "kernels/simd/packed_formats-inl.h"
#include "kernels/simd/prefetch-inl.h"

namespace mobilevlm {
namespace {

template <class V>
constexpr int kParts = static_cast<int>(kPackedOutputs) / V::kLanes;

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
void QuantiseRows(const float* x, size_t x_stride, size_t rows, size_t k, size_t block, int8_t* q,
                  float* scale, int32_t* sums) {
  for (size_t b = 0; b < k; b += block) {
    for (size_t r = 0; r < rows; ++r) {
      const float* from = x + r * x_stride + b;
      uint32_t max_bits = 0;
      for (size_t i = 0; i < block; i += 32) {
        const uint32_t bits = V::MaxBits(from + i);
        if (bits > max_bits) max_bits = bits;
      }
      const BlockScale block_scale = ScaleOf(max_bits);
      scale[b / block * rows + r] = block_scale.scale;
      for (size_t i = 0; i < block; i += 32) {
        int8_t* to = V::kWholeBlocks ? q + b * rows + r * block + i : q + (b + i) * rows + 4 * r;
        V::Quantise32(from + i, block_scale, to, V::kWholeBlocks ? 4 : 4 * rows,
                      sums + (b + i) / 16 * rows + r, rows);
      }
    }
  }
}

// How many groups' pairs of products, |x| <= 127, 16 bits hold; 0: V makes no pairs, or not one fits.
template <class V>
constexpr int PairGroups(int bits) {
  if constexpr (requires { V::kPairs; }) return 32767 / (2 * 127 * ((1 << bits) - 1));
  return 0;
}

template <class V>
constexpr bool SignedWeights(const PackedTraits& traits) {
  return V::kSigned && PairGroups<V>(traits.bits) == 0;
}

// q as Dot and UnpackedPanel want it.
template <class V, class D, int b>
inline typename V::Bytes Weights(const typename D::Unit& unit, int group, int part) {
  const auto q = D::template Quants<b>(unit, group, part);
  if constexpr (SignedWeights<V>(D::kTraits) && D::kTraits.offset != 0) {
    return V::template Minus<D::kTraits.offset>(q);
  }
  return q;
}

// Asks for block b's share of the unit that lies kPrefetchAhead behind this one. The lines of a unit of
// several blocks, up to 54, would be more than a core keeps open at once, and its loads would wait: so each
// block asks for its own, which the compiler may not move, from memory into the second-level cache and
// shortly before their use into the first.
template <class D, int b>
inline void PrefetchBlock(const typename D::Unit& unit) {
  constexpr size_t kBytes = sizeof(typename D::Unit), kLine = 64;
  constexpr size_t kBegin = kBytes * b / D::kBlocks / kLine * kLine;
  constexpr size_t kEnd = b + 1 < D::kBlocks ? kBytes * (b + 1) / D::kBlocks / kLine * kLine : kBytes;
  constexpr size_t kShortlyBefore = 1024;
  constexpr bool kManyBlocks = D::kBlocks > 1;
  const auto here = reinterpret_cast<uintptr_t>(&unit);
  if constexpr (kManyBlocks) __asm__ volatile("" ::: "memory");
#pragma GCC unroll 32
  for (size_t byte = kBegin; byte < kEnd; byte += kLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(here + kPrefetchAhead + byte), 0, kManyBlocks ? 2 : 3);
    if constexpr (kManyBlocks)
      __builtin_prefetch(reinterpret_cast<const void*>(here + kShortlyBefore + byte));
  }
}

// The sub-block of block b that begins with group `first`, by sums in 16 bits.
template <class V, class D, int b>
inline void AddPairGroups(const typename D::Unit& unit, const int8_t* q, int first,
                          typename V::Ints (&acc)[kParts<V>]) {
  constexpr int kBlock = static_cast<int>(D::kTraits.block), kGroups = kBlock / 4 / D::kTraits.sub_blocks;
  constexpr int kFit = PairGroups<V>(D::kTraits.bits), kAtOnce = kFit < kGroups ? kFit : kGroups;
  static_assert(kGroups % kAtOnce == 0);
#pragma GCC unroll 8
  for (int begin = first; begin < first + kGroups; begin += kAtOnce) {
    typename V::Ints pairs[kParts<V>];
#pragma GCC unroll 16
    for (int g = begin; g < begin + kAtOnce; ++g) {
      const auto x = V::Broadcast4(q + b * kBlock + 4 * g);
#pragma GCC unroll 4
      for (int p = 0; p < kParts<V>; ++p) {
        const auto w = Weights<V, D, b>(unit, g, p);
        pairs[p] = g == begin ? V::FirstPairs(w, x) : V::AddPairs(pairs[p], w, x);
      }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kParts<V>; ++p) acc[p] = V::Widen(acc[p], pairs[p]);
  }
}

// Block b of a unit times one row, then the blocks behind it.
template <class V, class D, int b>
inline void GemvBlocks(const typename D::Unit& unit, const int8_t* q, const float* scale,
                       const int32_t* start, const float* scaled_sums, typename V::F (&y)[kParts<V>]) {
  constexpr int kBlock = static_cast<int>(D::kTraits.block), kSubs = D::kTraits.sub_blocks;
  constexpr int kGroups = kBlock / 4 / kSubs, kPairGroups = PairGroups<V>(D::kTraits.bits);
  constexpr bool kSigned = SignedWeights<V>(D::kTraits);
  PrefetchBlock<D, b>(unit);
#pragma GCC unroll 2
  for (int s = 0; s < kSubs; ++s) {
    typename V::Ints acc[kParts<V>];
    for (auto& sum : acc) sum = kSigned ? V::Zero() : V::SetInts(start[b * kSubs + s]);
    if constexpr (kPairGroups > 0) {
      AddPairGroups<V, D, b>(unit, q, s * kGroups, acc);
    } else {
#pragma GCC unroll 16
      for (int g = s * kGroups; g < (s + 1) * kGroups; ++g) {
        const auto x = V::Broadcast4(q + b * kBlock + 4 * g);
#pragma GCC unroll 4
        for (int p = 0; p < kParts<V>; ++p) acc[p] = V::Dot(acc[p], Weights<V, D, b>(unit, g, p), x);
      }
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
    GemvBlocks<V, D, 0>(units[i], x.q + i * D::kTraits.unit_inputs, x.scale + i * kBlocks,
                        SignedWeights<V>(D::kTraits) ? nullptr : x.start + i * kSums,
                        D::kTraits.has_min ? x.scaled_sums + i * kSums : nullptr, sums);
  }
  for (int p = 0; p < kParts<V>; ++p) V::StoreFloats(y + p * V::kLanes, sums[p]);
}

template <class V, class D, int b>
inline void UnpackBlocks(const typename D::Unit& unit, const UnpackedPanel& out) {
  constexpr int kSubs = D::kTraits.sub_blocks, kGroups = static_cast<int>(D::kTraits.block) / 4;
  constexpr size_t kOutputs = kPackedOutputs;
  PrefetchBlock<D, b>(unit);
#pragma GCC unroll 16
  for (int g = 0; g < kGroups; ++g) {
    uint8_t* to = out.quants + static_cast<size_t>(b * kGroups + g) * kPackedGroup;
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
    UnpackBlocks<V, D, 0>(units[i], {out.quants + i * kInputs * kPackedOutputs, out.scales + i * kScales,
                                     D::kTraits.has_min ? out.mins + i * kScales : nullptr});
  }
}

// R rows from row `first` on, times kPanels unpacked panels. The integer sums of one block and the float sums
// of the whole tile live in registers.
template <class V, int R, int kPanels, int kBlock, int kSubs, bool kMin>
void QuantTile(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, size_t first, StartSums from,
               PairSums to) {
  constexpr int kColumns = kPanels * kParts<V>, kGroups = kBlock / 4 / kSubs;
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
      sum[r][c] = V::LoadFloats(from.row + static_cast<size_t>(r) * from.stride + c * V::kLanes);
    }
  }
  size_t group = 0, block = 0;  // of the panels
  for (size_t b = 0; b < k / kBlock; ++b, scale += rows) {
    for (int s = 0; s < kSubs; ++s, ++block, start += rows, scaled_sums += rows) {
      typename V::Ints acc[R][kColumns];
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const auto first_sum = V::kSigned ? V::Zero() : V::SetInts(start[r]);
        for (auto& a : acc[r]) a = first_sum;
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
      V::StoreFloats(to.row + static_cast<size_t>(r) * to.stride + c * V::kLanes, sum[r][c]);
    }
  }
}

using QuantTileFn = void (*)(const UnpackedPanel*, size_t, const QuantisedRows&, size_t, StartSums, PairSums);

// The tiles of 1 .. kGemmRows rows; index 0 is unused.
template <class V, int kBlock, int kSubs, bool kMin, int... kRows>
struct QuantTiles {
  static constexpr int kPanels = V::kGemmPanels;
  static constexpr QuantTileFn kTable[] = {nullptr, QuantTile<V, kRows, kPanels, kBlock, kSubs, kMin>...};
};
template <class V, int kBlock, int kSubs, bool kMin, int kCount, int... kRows>
struct MakeQuantTiles : MakeQuantTiles<V, kBlock, kSubs, kMin, kCount - 1, kCount, kRows...> {};
template <class V, int kBlock, int kSubs, bool kMin, int... kRows>
struct MakeQuantTiles<V, kBlock, kSubs, kMin, 0, kRows...> : QuantTiles<V, kBlock, kSubs, kMin, kRows...> {};

template <class V, int kBlock, int kSubs, bool kMin>
void QuantGemm(const UnpackedPanel* panels, size_t k, const QuantisedRows& x, StartSums start, PairSums y) {
  constexpr size_t kMost = V::kGemmRows;
  for (int panel = 0; panel < 2; panel += V::kGemmPanels) {
    const size_t column = static_cast<size_t>(panel) * kPackedOutputs;
    // As even as possible, so that every tile has sums enough in flight.
    size_t tiles = (x.rows + kMost - 1) / kMost;
    for (size_t done = 0; tiles > 0; --tiles) {
      const size_t count = (x.rows - done + tiles - 1) / tiles;
      MakeQuantTiles<V, kBlock, kSubs, kMin, V::kGemmRows>::kTable[count](
          panels + panel, k, x, done, {start.row + done * start.stride + column, start.stride},
          {y.row + done * y.stride + column, y.stride});
      done += count;
    }
  }
}

// The kernels that prepare the operands of gemm the way V wants them.
template <class V>
constexpr void SetOperands(QuantKernels& kernels) {
  for (int f = 0; f < kPackedFormatCount; ++f) {
    kernels.signed_weights[f] = SignedWeights<V>(kPackedTraits[f]);
  }
  kernels.whole_blocks = V::kWholeBlocks;
  kernels.quantise_rows = QuantiseRows<V>;
  auto& unpack = kernels.unpack;
  unpack[kPackedQ4_0] = Unpack<V, DecodeQ4_0<V>>;
  unpack[kPackedQ4_1] = Unpack<V, DecodeQ4_1<V>>;
  unpack[kPackedQ5_0] = Unpack<V, DecodeQ5_0<V>>;
  unpack[kPackedQ5_1] = Unpack<V, DecodeQ5_1<V>>;
  unpack[kPackedQ8_0] = Unpack<V, DecodeQ8_0<V>>;
  unpack[kPackedQ2_K] = Unpack<V, DecodeQ2_K<V>>;
  unpack[kPackedQ3_K] = Unpack<V, DecodeQ3_K<V>>;
  unpack[kPackedQ4_K] = Unpack<V, DecodeQ4_K<V>>;
  unpack[kPackedQ5_K] = Unpack<V, DecodeQ5_K<V>>;
  unpack[kPackedQ6_K] = Unpack<V, DecodeQ6_K<V>>;
  unpack[kPackedLong] = Unpack<V, DecodeLong<V>>;
}

// All but gemm.
template <class V>
constexpr QuantKernels MakeKernelsWithoutGemm(const char* name) {
  QuantKernels kernels{};
  kernels.name = name;
  kernels.tile_rows = kTileRows;
  SetOperands<V>(kernels);
  auto& gemv = kernels.gemv;
  gemv[kPackedQ4_0] = Gemv<V, DecodeQ4_0<V>>;
  gemv[kPackedQ4_1] = Gemv<V, DecodeQ4_1<V>>;
  gemv[kPackedQ5_0] = Gemv<V, DecodeQ5_0<V>>;
  gemv[kPackedQ5_1] = Gemv<V, DecodeQ5_1<V>>;
  gemv[kPackedQ8_0] = Gemv<V, DecodeQ8_0<V>>;
  gemv[kPackedQ2_K] = Gemv<V, DecodeQ2_K<V>>;
  gemv[kPackedQ3_K] = Gemv<V, DecodeQ3_K<V>>;
  gemv[kPackedQ4_K] = Gemv<V, DecodeQ4_K<V>>;
  gemv[kPackedQ5_K] = Gemv<V, DecodeQ5_K<V>>;
  gemv[kPackedQ6_K] = Gemv<V, DecodeQ6_K<V>>;
  gemv[kPackedLong] = Gemv<V, DecodeLong<V>>;
  kernels.begin_gemm = [](size_t, int) {};
  kernels.end_gemm = [] {};
  return kernels;
}

template <class V>
constexpr QuantKernels MakeQuantKernels(const char* name) {
  QuantKernels kernels = MakeKernelsWithoutGemm<V>(name);
  constexpr GemmPerLayout kGemm{{{QuantGemm<V, kQuantBlock, 1, false>, QuantGemm<V, kQuantBlock, 1, true>},
                                 {QuantGemm<V, kQuantBlock, 2, false>, QuantGemm<V, kQuantBlock, 2, true>}},
                                QuantGemm<V, kLongBlock, 1, false>};
  kGemm.SetAll(kernels.gemm);
  return kernels;
}

}  // namespace
}  // namespace mobilevlm
