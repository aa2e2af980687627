// A few rows on AVX-512 VNNI, eight at a time. A group of weights is unpacked into a register, meets the rows
// there and is gone: what one row needs, and eight dot products and three float operations per 32 inputs for
// each further one. Sixteen registers hold the sums of eight rows.
#include "kernels/tables.h"
#include "kernels/x86/quant_avx512vnni-inl.h"

namespace mobilevlm {
namespace {

using V = Avx512Vnni;
constexpr size_t kMostRows = 16;

// acc + weights * the four inputs at x, which the instruction itself reads and repeats in every lane.
inline V::Ints DotAt(V::Ints acc, V::Bytes w, const int8_t* x) {
  using Four [[gnu::may_alias, gnu::aligned(1)]] = int32_t;
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*reinterpret_cast<const Four*>(x)));
  return acc;
}

// Operands of R rows among x.rows, at one block after the other.
struct Cursor {
  size_t rows;
  const int8_t* q;
  const float* scale;
  const int32_t* start;
  const float* scaled_sums;
};

// Block b of a unit times R rows, then the blocks behind it.
template <class D, int R, int b>
inline void MultiplyBlocks(const typename D::Unit& unit, Cursor& x, V::F (&y)[R]) {
  constexpr int kSubs = D::kTraits.sub_blocks;
  constexpr int kGroups = static_cast<int>(D::kTraits.block) / 4 / kSubs;
  PrefetchBlock<D, b>(unit);
#pragma GCC unroll 2
  for (int s = 0; s < kSubs; ++s, x.start += x.rows, x.scaled_sums += x.rows) {
    V::Ints acc[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[r] = V::SetInts(x.start[r]);
#pragma GCC unroll 16
    for (int g = s * kGroups; g < (s + 1) * kGroups; ++g, x.q += 4 * x.rows) {
      const V::Bytes w = D::template Quants<b>(unit, g, 0);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[r] = DotAt(acc[r], w, x.q + 4 * r);
    }
    const V::F scale = D::template Scale<b>(unit, s, 0);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) y[r] = V::Fma(V::ToFloat(acc[r]), scale * V::Set(x.scale[r]), y[r]);
    if constexpr (D::kTraits.has_min) {
      const V::F min = D::template Min<b>(unit, s, 0);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) y[r] = V::Fma(min, V::Set(x.scaled_sums[r]), y[r]);
    }
  }
  x.scale += x.rows;
  if constexpr (b + 1 < D::kBlocks) MultiplyBlocks<D, R, b + 1>(unit, x, y);
}

// R rows from row `first` on.
template <class D, int R>
void MultiplyRows(const void* panel, size_t k, const QuantisedRows& x, size_t first, float* y) {
  using Unit = typename D::Unit;
  V::F sums[R];
#pragma GCC unroll 8
  for (size_t r = 0; r < R; ++r) sums[r] = V::LoadFloats(y + (first + r) * kPackedOutputs);
  Cursor here{x.rows, x.q + 4 * first, x.scale + first, x.start + first, x.scaled_sums + first};
  const auto* units = static_cast<const Unit*>(panel);
  for (size_t i = 0; i < k / D::kTraits.unit_inputs; ++i) {
    MultiplyBlocks<D, R, 0>(units[i], here, sums);
  }
#pragma GCC unroll 8
  for (size_t r = 0; r < R; ++r) V::StoreFloats(y + (first + r) * kPackedOutputs, sums[r]);
}

// Code for every number of rows would be much of the program; with these none is left alone. The panel is in
// a cache when the second ones come.
template <class D>
void Multiply(const void* panel, size_t k, const QuantisedRows& x, float* y) {
  size_t first = 0;
  while (first < x.rows) {
    const size_t left = x.rows - first;
    if (left == 8 || left > 9) {
      MultiplyRows<D, 8>(panel, k, x, first, y);
      first += 8;
    } else if (left == 4 || left > 5) {
      MultiplyRows<D, 4>(panel, k, x, first, y);
      first += 4;
    } else if (left == 2) {
      MultiplyRows<D, 2>(panel, k, x, first, y);
      first += 2;
    } else {
      MultiplyRows<D, 3>(panel, k, x, first, y);
      first += 3;
    }
  }
}

}  // namespace

constinit const FewRowKernels kAvx512VnniFewRowKernels = {
    .most_rows = kMostRows,
    .quantise_rows = QuantiseRows<V>,
    .multiply = {Multiply<DecodeQ4_0<V>>, Multiply<DecodeQ4_1<V>>, Multiply<DecodeQ5_0<V>>,
                 Multiply<DecodeQ5_1<V>>, Multiply<DecodeQ8_0<V>>, Multiply<DecodeQ2_K<V>>,
                 Multiply<DecodeQ3_K<V>>, Multiply<DecodeQ4_K<V>>, Multiply<DecodeQ5_K<V>>,
                 Multiply<DecodeQ6_K<V>>, Multiply<DecodeLong<V>>}};

}  // namespace mobilevlm
