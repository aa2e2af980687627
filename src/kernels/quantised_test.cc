// Every table's integer kernels against the scalar ones, which the tests of ops hold against the file
// formats (ops/pack_weights_test.cc). Integer sums are exact and the float chain is written out, so all
// tables agree to the bit.
#include "kernels/quant_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/tables.h"
#include "kernels/test_support.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

using namespace test;

class QuantisedTest : public KernelsTest {
 protected:
  const QuantKernels& quant_ = *kernels_.quant;
};
INSTANTIATE_TEST_SUITE_P(AllTables, QuantisedTest, ::testing::ValuesIn(RunnableKernels()), TableName);

// Random units of any format; the halves among the bytes are made small and finite.
std::vector<unsigned char> RandomPanel(PackedFormat format, size_t k, uint64_t seed) {
  const PackedTraits& traits = kPackedTraits[format];
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<unsigned char> panel(k / traits.unit_inputs * traits.unit_bytes);
  for (unsigned char& byte : panel) byte = static_cast<unsigned char>(random());
  if (format == kPackedQ3_K) {  // scales are 6 bits
    for (size_t u = 0; u < panel.size(); u += traits.unit_bytes) {
      auto& unit = *reinterpret_cast<PackedQ3_K*>(panel.data() + u);
      for (auto& row : unit.scales) {
        for (int8_t& scale : row) scale = static_cast<int8_t>(scale / 4);
      }
    }
  }
  // Every format ends with d and, if it has a min, another half per output.
  const size_t halves = kPackedOutputs * (traits.has_min ? 2 : 1);
  for (size_t end = traits.unit_bytes; end <= panel.size(); end += traits.unit_bytes) {
    for (size_t i = 0; i < halves; ++i) {
      const uint16_t half = F32ToF16(static_cast<float>(random() % 2001) * 1e-5f - 0.01f);
      std::memcpy(&panel[end - 2 * halves + 2 * i], &half, 2);
    }
  }
  return panel;
}

// Quantised rows with everything a format of these traits asks for, and all of it as badly aligned as the
// contract allows: each array begins one element behind an aligned address, bytes at an odd one.
struct Activations {
  Activations(const QuantKernels& quant, const std::vector<float>& x, size_t count,
              const PackedTraits& traits)
      : rows(count),
        k(x.size() / count),
        q(1 + x.size()),
        scale(1 + x.size() / traits.block),
        sums(1 + x.size() / 16),
        start(1),
        scaled_sums(1) {
    quant.quantise_rows(x.data(), k, rows, k, traits.block, &q[1], scale.data() + 1, sums.data() + 1);
    const size_t sub = traits.block / static_cast<size_t>(traits.sub_blocks);
    for (size_t s = 0; s < k / sub; ++s) {
      for (size_t r = 0; r < rows; ++r) {
        int32_t sum = 0;
        for (size_t i = s * sub / 16; i < (s + 1) * sub / 16; ++i) sum += sums[1 + i * rows + r];
        start.push_back(-traits.offset * sum);
        scaled_sums.push_back(scale[1 + s * sub / traits.block * rows + r] * static_cast<float>(sum));
      }
    }
  }
  QuantisedRows view() const {
    return {rows, q.data() + 1, scale.data() + 1, start.data() + 1, scaled_sums.data() + 1};
  }

  size_t rows, k;
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sums, start;
  std::vector<float> scaled_sums;
};

// From [k / 4][rows][4] to the table's own order.
std::vector<int8_t> InOrderOf(const QuantKernels& quant, const std::vector<int8_t>& q, size_t rows,
                              size_t block) {
  if (!quant.whole_blocks) return q;
  std::vector<int8_t> ordered(q.size());
  for (size_t i = 0; i < q.size(); ++i) {
    const size_t row = i / 4 % rows, k = i / 4 / rows * 4 + i % 4;
    ordered[(k / block * rows + row) * block + k % block] = q[i];
  }
  return ordered;
}

TEST_P(QuantisedTest, QuantiseRowsIsOneOperation) {
  for (const size_t rows : {1u, 2u, 5u, 12u}) {
    for (const size_t blocks : {1u, 2u, 9u}) {
      for (const size_t block : {kQuantBlock, kLongBlock}) {
        const size_t k = blocks * block;
        std::vector<float> x = RandomFloats(rows * (k + 3), rows + k, -40, 40);
        x[0] = 0.0f;
        x[1] = -0.0f;
        x[2] = 1e-38f;
        std::vector<int8_t> q(rows * k), wanted_q(rows * k);
        std::vector<float> scale(rows * blocks), wanted_scale(rows * blocks);
        std::vector<int32_t> sums(rows * k / 16), wanted_sums(rows * k / 16);
        quant_.quantise_rows(x.data(), k + 3, rows, k, block, q.data(), scale.data(), sums.data());
        kGenericQuantKernels.quantise_rows(x.data(), k + 3, rows, k, block, wanted_q.data(),
                                           wanted_scale.data(), wanted_sums.data());
        EXPECT_EQ(q, InOrderOf(quant_, wanted_q, rows, block));
        EXPECT_EQ(sums, wanted_sums);
        EXPECT_TRUE(SameBits(scale.data(), wanted_scale.data(), scale.size()));
      }
    }
  }
}

TEST_P(QuantisedTest, QuantiseRowsOfStrangeNumbers) {
  const float kTiny = 1e-40f;
  for (const float strange : {kNan, -kNan, kInf, -kInf, 0.0f, kTiny, 3.0e38f}) {
    std::vector<float> x(64, strange == 0.0f || strange == kTiny ? strange : 1.0f);
    x[37] = strange;
    std::vector<int8_t> q(64);
    float scale[2];
    int32_t sums[4];
    quant_.quantise_rows(x.data(), 64, 1, 64, kQuantBlock, q.data(), scale, sums);
    if (!std::isfinite(strange)) {
      EXPECT_TRUE(std::isnan(scale[1]));
      EXPECT_EQ(q[32], 0);
      EXPECT_EQ(sums[2] + sums[3], 0);
      EXPECT_EQ(scale[0], 1.0f / 127.0f) << "the neighbour block";
    } else if (strange <= 1e-30f) {
      EXPECT_EQ(scale[1], 0.0f);
      EXPECT_EQ(q[37], 0);
    } else {
      EXPECT_EQ(q[37], 127);
      EXPECT_EQ(q[38], 0);
    }
  }
}

TEST_P(QuantisedTest, UnpackEqualsTheReference) {
  for (int f = 0; f < kPackedFormatCount; ++f) {
    const PackedFormat format = static_cast<PackedFormat>(f);
    const PackedTraits& traits = kPackedTraits[f];
    const size_t k = 2 * traits.unit_inputs;
    const auto panel = RandomPanel(format, k, 17 + static_cast<uint64_t>(f));
    const size_t scales = k / traits.block * static_cast<size_t>(traits.sub_blocks) * kPackedOutputs;
    // To odd addresses.
    std::vector<uint8_t> q(1 + k * kPackedOutputs), wanted_q(q.size());
    std::vector<float> s(1 + scales), wanted_s(s.size()), m(s.size()), wanted_m(s.size());
    const UnpackedPanel found{q.data() + 1, s.data() + 1, m.data() + 1};
    const UnpackedPanel wanted{wanted_q.data() + 1, wanted_s.data() + 1, wanted_m.data() + 1};
    quant_.unpack[f](panel.data(), 0, found);
    EXPECT_EQ(q, wanted_q) << "format " << f << ": nothing, unpacked";
    quant_.unpack[f](panel.data(), k, found);
    kGenericQuantKernels.unpack[f](panel.data(), k, wanted);
    if (!quant_.signed_weights[f]) {
      for (size_t i = 1; i < q.size(); ++i) q[i] = static_cast<uint8_t>(q[i] - traits.offset);
    }
    EXPECT_EQ(q, wanted_q) << "format " << f;
    EXPECT_TRUE(SameBits(s.data(), wanted_s.data(), s.size())) << "format " << f;
    if (traits.has_min) {
      EXPECT_TRUE(SameBits(m.data(), wanted_m.data(), m.size())) << "format " << f;
    }
  }
}

TEST_P(QuantisedTest, GemvEqualsTheReference) {
  for (int f = 0; f < kPackedFormatCount; ++f) {
    const PackedTraits& traits = kPackedTraits[f];
    for (const size_t units : {0u, 1u, 2u, 3u, 9u}) {
      const size_t k = units * traits.unit_inputs;
      const auto panel = RandomPanel(static_cast<PackedFormat>(f), k, units);
      const Activations x(kGenericQuantKernels, RandomFloats(k, 5), 1, traits);
      std::vector<float> y = RandomFloats(kPackedOutputs, 6), wanted = y;
      quant_.gemv[f](panel.data(), k, x.view(), y.data());
      kGenericQuantKernels.gemv[f](panel.data(), k, x.view(), wanted.data());
      EXPECT_TRUE(SameBits(y.data(), wanted.data(), y.size())) << "format " << f << ", " << units << " units";
    }
  }
}

TEST_P(QuantisedTest, GemmEqualsTheReferenceAndGemv) {
  for (int f = 0; f < kPackedFormatCount; ++f) {
    const PackedFormat format = static_cast<PackedFormat>(f);
    const PackedTraits& traits = kPackedTraits[f];
    // One unit, all that gemm takes, and in between what no table's steps divide.
    std::vector<size_t> depths{traits.unit_inputs, kMostGemmInputs};
    if (traits.unit_inputs < 256) depths.push_back(7 * traits.unit_inputs);
    for (size_t i = 0; i < depths.size() * quant_.tile_rows; ++i) {
      const size_t k = depths[i / quant_.tile_rows], rows = 1 + i % quant_.tile_rows;
      const std::vector<unsigned char> packed[2] = {RandomPanel(format, k, rows),
                                                    RandomPanel(format, k, rows + 50)};
      // At odd addresses, as x.
      const size_t quants = k * kPackedOutputs, scales = k / 16 * kPackedOutputs;
      std::vector<uint8_t> q(1 + 2 * quants);
      std::vector<float> s(1 + 2 * scales), m(s.size());
      UnpackedPanel panels[2];
      for (size_t p = 0; p < 2; ++p) {
        panels[p] = {q.data() + 1 + p * quants, s.data() + 1 + p * scales, m.data() + 1 + p * scales};
        quant_.unpack[f](packed[p].data(), k, panels[p]);
      }
      const std::vector<float> values = RandomFloats(rows * k, rows);
      const Activations x(quant_, values, rows, traits);
      constexpr size_t kStride = 37;
      std::vector<float> y = RandomFloats(rows * kStride, 8);
      const std::vector<float> before = y;
      quant_.begin_gemm(traits.block, traits.sub_blocks);
      // Odd rows in place, the others from a copy.
      const StartSums start{rows % 2 == 1 ? y.data() : before.data(), kStride};
      quant_.gemm[f](panels, k, x.view(), start, {y.data(), kStride});
      quant_.end_gemm();
      for (size_t r = 0; r < rows; ++r) {
        const Activations one(kGenericQuantKernels,
                              {values.begin() + static_cast<int64_t>(r * k),
                               values.begin() + static_cast<int64_t>((r + 1) * k)},
                              1, traits);
        std::vector<float> wanted(before.begin() + static_cast<int64_t>(r * kStride),
                                  before.begin() + static_cast<int64_t>((r + 1) * kStride));
        for (size_t p = 0; p < 2; ++p) {
          kGenericQuantKernels.gemv[f](packed[p].data(), k, one.view(), wanted.data() + p * kPackedOutputs);
        }
        EXPECT_TRUE(SameBits(y.data() + r * kStride, wanted.data(), kStride))
            << "format " << f << ", row " << r << " of " << rows << ", " << k << " inputs";
      }
    }
  }
}

TEST_P(QuantisedTest, FewRowsEqualTheReference) {
  if (quant_.few_rows == nullptr) return;  // such a table's gemm, tested above, takes all rows
  const FewRowKernels& few = *quant_.few_rows;
  ASSERT_LE(few.most_rows, kMostQuantRows);
  for (int f = 0; f < kPackedFormatCount; ++f) {
    const PackedTraits& traits = kPackedTraits[f];
    for (size_t i = 0; i < 3 * (few.most_rows - 1); ++i) {
      const size_t rows = 2 + i / 3, units = std::array<size_t, 3>{0, 1, 3}[i % 3];
      const size_t k = traits.unit_inputs * units;
      const auto panel = RandomPanel(static_cast<PackedFormat>(f), k, 5);
      const std::vector<float> values = RandomFloats(rows * k, rows);
      QuantKernels quantising = quant_;
      quantising.quantise_rows = few.quantise_rows;
      const Activations x(quantising, values, rows, traits);
      std::vector<float> y = RandomFloats(rows * kPackedOutputs, 6), wanted = y;
      few.multiply[f](panel.data(), k, x.view(), y.data());
      for (size_t r = 0; r < rows; ++r) {
        const auto row = values.begin() + static_cast<int64_t>(r * k);
        const Activations one(kGenericQuantKernels, {row, row + static_cast<int64_t>(k)}, 1, traits);
        kGenericQuantKernels.gemv[f](panel.data(), k, one.view(), wanted.data() + r * kPackedOutputs);
      }
      EXPECT_TRUE(SameBits(y.data(), wanted.data(), y.size()))
          << "format " << f << ", " << rows << " rows, " << units << " units";
    }
  }
}

// A bias is one row that all rows start from.
TEST_P(QuantisedTest, GemmStartsFromABias) {
  constexpr size_t kInputs = 96, kRows = 3, kOutputs = 2 * kPackedOutputs;
  const PackedTraits& traits = kPackedTraits[kPackedQ8_0];
  std::vector<uint8_t> q(kOutputs * kInputs, 1);
  std::vector<float> scales(kOutputs * kInputs / 32, 0.5f), mins(scales.size()),
      bias = RandomFloats(kOutputs, 3);
  const UnpackedPanel panel{q.data(), scales.data(), mins.data()}, panels[2] = {panel, panel};
  const Activations x(quant_, RandomFloats(kRows * kInputs, 4), kRows, traits);
  std::vector<float> rows(kRows * kOutputs), found(rows.size(), -1), wanted(rows.size(), -2);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = bias[i % kOutputs];
  quant_.begin_gemm(traits.block, traits.sub_blocks);
  quant_.gemm[kPackedQ8_0](panels, kInputs, x.view(), {bias.data(), 0}, {found.data(), kOutputs});
  quant_.gemm[kPackedQ8_0](panels, kInputs, x.view(), {rows.data(), kOutputs}, {wanted.data(), kOutputs});
  quant_.end_gemm();
  EXPECT_TRUE(SameBits(found.data(), wanted.data(), wanted.size()));
}

// The largest products, all of one sign: nothing saturates or wraps on the way to 32 bits.
TEST_P(QuantisedTest, ExtremeValuesDoNotOverflow) {
  for (int f = 0; f < kPackedFormatCount; ++f) {
    const PackedTraits& traits = kPackedTraits[f];
    const size_t k = traits.unit_inputs, quants = k * static_cast<size_t>(traits.bits) / 8 * kPackedOutputs;
    for (const unsigned char byte : {0x00, 0xFF}) {
      std::vector<unsigned char> panel = RandomPanel(static_cast<PackedFormat>(f), k, 3);
      std::fill_n(panel.begin(), quants, byte);  // q comes first in every unit
      std::vector<uint8_t> q(k * kPackedOutputs);
      std::vector<float> scales(k), mins(k);
      const UnpackedPanel unpacked{q.data(), scales.data(), mins.data()}, pair[2] = {unpacked, unpacked};
      quant_.unpack[f](panel.data(), k, unpacked);
      for (const float x : {-1.0f, 1.0f}) {
        const std::string which = fmt::format("format {}, bytes {}, x {}", f, byte, x);
        const Activations one(kGenericQuantKernels, std::vector<float>(k, x), 1, traits);
        std::vector<float> wanted(kPackedOutputs), found(kPackedOutputs);
        kGenericQuantKernels.gemv[f](panel.data(), k, one.view(), wanted.data());
        quant_.gemv[f](panel.data(), k, one.view(), found.data());
        EXPECT_TRUE(SameBits(found.data(), wanted.data(), kPackedOutputs)) << which;

        constexpr size_t kRows = 4, kStride = 2 * kPackedOutputs;
        const Activations rows(quant_, std::vector<float>(kRows * k, x), kRows, traits);
        std::vector<float> y(kRows * kStride);
        quant_.begin_gemm(traits.block, traits.sub_blocks);
        quant_.gemm[f](pair, k, rows.view(), {y.data(), kStride}, {y.data(), kStride});
        quant_.end_gemm();
        for (size_t i = 0; i < y.size(); i += kPackedOutputs) {
          EXPECT_TRUE(SameBits(y.data() + i, wanted.data(), kPackedOutputs)) << which << ", sums from " << i;
        }
      }
    }
  }
}

// The same by a formula: neighbouring outputs of -128 and of 127.
TEST_P(QuantisedTest, TheLargestBytesHaveTheirExactSums) {
  PackedQ8_0 unit;
  for (auto& group : unit.quants) {
    for (size_t i = 0; i < kPackedGroup; ++i) group[i] = i / 4 % 2 == 0 ? 0 : 255;  // q - 128: -128 and 127
  }
  for (uint16_t& d : unit.d) d = F32ToF16(1.0f);
  for (const float x : {-1.0f, 1.0f}) {
    const Activations activations(quant_, std::vector<float>(kQuantBlock, x), 1, kPackedTraits[kPackedQ8_0]);
    std::vector<float> y(kPackedOutputs, 0.0f);
    quant_.gemv[kPackedQ8_0](&unit, kQuantBlock, activations.view(), y.data());
    for (size_t o = 0; o < kPackedOutputs; ++o) {
      const float sum = x * 127.0f * (o % 2 == 0 ? -128.0f : 127.0f) * kQuantBlock;
      EXPECT_EQ(y[o], std::fma(sum, 1.0f / 127.0f, 0.0f));
    }
  }
}

}  // namespace
}  // namespace mobilevlm
