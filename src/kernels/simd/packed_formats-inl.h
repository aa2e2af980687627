// Decoding of the packed formats (kernels/packed.h), written once over a vector class V and compiled per
// instruction set; everything has internal linkage. V is described in simd/quantised-inl.h.
//
// A decoder offers, for block b (32 inputs, kPackedLong: more) of a unit and compile-time b,
//   Quants<b>(unit, group, part)  the unsigned q of four inputs and V::kLanes outputs
//   Scale<b>(unit, s, part), Min<b>(unit, s, part)  of sub-block s
#pragma once

#include "kernels/packed.h"

namespace mobilevlm {
namespace {

template <class V, class U, PackedFormat kFormatNumber>
struct DecoderBase {
  using Unit = U;
  using Bytes = typename V::Bytes;
  using F = typename V::F;
  static constexpr PackedTraits kTraits = kPackedTraits[kFormatNumber];
  static constexpr int kBlocks = static_cast<int>(kTraits.unit_inputs / kTraits.block);

  static Bytes Part(const uint8_t (&group)[kPackedGroup], int part) {
    return V::LoadBytes(group + static_cast<size_t>(part) * sizeof(Bytes));
  }
  template <class T>
  static F Halves(const T (&values)[kPackedOutputs], int part) {
    return V::Halves(values + part * V::kLanes);
  }
  // The scale where it is d alone; decoders of other formats hide these two.
  template <int b>
  static F Scale(const U& unit, int, int part) {
    return Halves(unit.d, part);
  }
  template <int b>
  static F Min(const U& unit, int, int part) {
    return Halves(unit.m, part);
  }
};

// Q4_0, Q4_1, and the low four bits of Q5_0, Q5_1.
template <class V, class U, PackedFormat kFormatNumber>
struct DecodeNibbles : DecoderBase<V, U, kFormatNumber> {
  using Base = DecoderBase<V, U, kFormatNumber>;
  template <int b>
  static typename V::Bytes Quants(const U& unit, int group, int part) {
    const auto pair = Base::Part(unit.quants[group % 4], part);
    return group < 4 ? V::Low4(pair) : V::High4(pair);
  }
};

template <class V, class U, PackedFormat kFormatNumber>
struct DecodeFiveBits : DecodeNibbles<V, U, kFormatNumber> {
  using Base = DecodeNibbles<V, U, kFormatNumber>;
  template <int b>
  static typename V::Bytes Quants(const U& unit, int group, int part) {
    return V::AddWhereBit(Base::template Quants<b>(unit, group, part), unit.high[group], part, 16);
  }
};

// Q8_0 and the longer blocks it may be packed into.
template <class V, class U, PackedFormat kFormatNumber>
struct DecodeBytes : DecoderBase<V, U, kFormatNumber> {
  using Base = DecoderBase<V, U, kFormatNumber>;
  template <int b>
  static typename V::Bytes Quants(const U& unit, int group, int part) {
    return Base::Part(unit.quants[group], part);
  }
};
template <class V>
using DecodeQ8_0 = DecodeBytes<V, PackedQ8_0, kPackedQ8_0>;
template <class V>
using DecodeLong = DecodeBytes<V, PackedLong, kPackedLong>;

// Q4_K, and the low four bits of Q5_K.
template <class V, class U, PackedFormat kFormatNumber>
struct DecodePairs : DecoderBase<V, U, kFormatNumber> {
  using Base = DecoderBase<V, U, kFormatNumber>;
  using F = typename V::F;
  template <int b>
  static typename V::Bytes Quants(const U& unit, int group, int part) {
    const auto pair = Base::Part(unit.quants[b / 2 * 8 + group], part);
    return b % 2 == 0 ? V::Low4(pair) : V::High4(pair);
  }
  template <int b>
  static F Scale(const U& unit, int, int part) {
    return Base::Halves(unit.d, part) * V::FromBytes(unit.scales[b] + part * V::kLanes);
  }
  template <int b>
  static F Min(const U& unit, int, int part) {
    return V::Set(0.0f) - Base::Halves(unit.dmin, part) * V::FromBytes(unit.mins[b] + part * V::kLanes);
  }
};

template <class V>
struct DecodeQ5_K : DecodePairs<V, PackedQ5_K, kPackedQ5_K> {
  using Base = DecodePairs<V, PackedQ5_K, kPackedQ5_K>;
  template <int b>
  static typename V::Bytes Quants(const PackedQ5_K& unit, int group, int part) {
    const auto high = V::template BitTo<b, 16>(Base::Part(unit.high[group], part));
    return V::Or(Base::template Quants<b>(unit, group, part), high);
  }
};

template <class V>
using DecodeQ4_0 = DecodeNibbles<V, PackedQ4_0, kPackedQ4_0>;
template <class V>
using DecodeQ4_1 = DecodeNibbles<V, PackedQ4_1, kPackedQ4_1>;
template <class V>
using DecodeQ5_0 = DecodeFiveBits<V, PackedQ5_0, kPackedQ5_0>;
template <class V>
using DecodeQ5_1 = DecodeFiveBits<V, PackedQ5_1, kPackedQ5_1>;
template <class V>
using DecodeQ4_K = DecodePairs<V, PackedQ4_K, kPackedQ4_K>;

// Two sub-blocks with signed scales: Q3_K, Q6_K.
template <class V, class U, PackedFormat kFormatNumber>
struct DecodeSixteens : DecoderBase<V, U, kFormatNumber> {
  using Base = DecoderBase<V, U, kFormatNumber>;
  template <int b>
  static typename V::F Scale(const U& unit, int s, int part) {
    return Base::Halves(unit.d, part) * V::FromSignedBytes(unit.scales[2 * b + s] + part * V::kLanes);
  }
};

template <class V>
struct DecodeQ2_K : DecoderBase<V, PackedQ2_K, kPackedQ2_K> {
  using Base = DecoderBase<V, PackedQ2_K, kPackedQ2_K>;
  template <int b>
  static typename V::Bytes Quants(const PackedQ2_K& unit, int group, int part) {
    return V::template TwoBits<b % 4 * 2>(Base::Part(unit.quants[b / 4 * 8 + group], part));
  }
  template <int b>
  static typename V::F Scale(const PackedQ2_K& unit, int s, int part) {
    return Base::Halves(unit.d, part) * V::FromLowNibbles(unit.scales[2 * b + s] + part * V::kLanes);
  }
  template <int b>
  static typename V::F Min(const PackedQ2_K& unit, int s, int part) {
    return V::Set(0.0f) -
           Base::Halves(unit.dmin, part) * V::FromHighNibbles(unit.scales[2 * b + s] + part * V::kLanes);
  }
};

template <class V>
struct DecodeQ3_K : DecodeSixteens<V, PackedQ3_K, kPackedQ3_K> {
  using Base = DecodeSixteens<V, PackedQ3_K, kPackedQ3_K>;
  template <int b>
  static typename V::Bytes Quants(const PackedQ3_K& unit, int group, int part) {
    const auto low = V::template TwoBits<b % 4 * 2>(Base::Part(unit.quants[b / 4 * 8 + group], part));
    return V::Or(low, V::template BitTo<b, 4>(Base::Part(unit.high[group], part)));
  }
};

template <class V>
struct DecodeQ6_K : DecodeSixteens<V, PackedQ6_K, kPackedQ6_K> {
  using Base = DecodeSixteens<V, PackedQ6_K, kPackedQ6_K>;
  template <int b>
  static typename V::Bytes Quants(const PackedQ6_K& unit, int group, int part) {
    constexpr int kHalf = b / 4, kBlock = b % 4;
    const auto pair = Base::Part(unit.low[kHalf * 16 + kBlock % 2 * 8 + group], part);
    const auto high = V::template TwoBits<kBlock * 2>(Base::Part(unit.high[kHalf * 8 + group], part));
    return V::Or(kBlock < 2 ? V::Low4(pair) : V::High4(pair), V::ShiftLeft4(high));
  }
};

}  // namespace
}  // namespace mobilevlm
