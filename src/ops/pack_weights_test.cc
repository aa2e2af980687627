// Packed weights stand for exactly what the file's blocks say: every format's random bytes, packed and
// unpacked again, against the scalar dequantiser.
#include "ops/pack_weights.h"

#include <limits>

#include "ops/linear_quantised.h"
#include "ops/test_support.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

using namespace test;

using PackWeightsTest = OpsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, PackWeightsTest, ::testing::ValuesIn(RunnableKernels()), TableName);

TEST_P(PackWeightsTest, UnpacksToWhatTheFileSays) {
  for (const DType type : kQuantisedTypes) {
    const PackedFormat format = FindPackedFormat(type).value();
    const size_t in = 2 * kPackedTraits[format].unit_inputs;
    for (const size_t out : {1u, 15u, 16u, 17u, 40u}) {
      const TestWeights w = RandomWeights(type, out, in, out);
      const size_t width = PackedPanels(out) * kPackedOutputs;
      for (size_t k = 0; k < in; k += kPanelK) {
        const size_t depth = std::min(kPanelK, in - k);
        std::vector<float> found(depth * width);
        UnpackToFloat(*ctx().kernels, w.view, 0, width, k, depth, found.data());
        for (size_t i = 0; i < depth; ++i) {
          for (size_t o = 0; o < width; ++o) {
            const double wanted = o < out ? w.exact[o * in + k + i] : 0.0;
            ASSERT_EQ(found[i * width + o], wanted)
                << DTypeName(type) << ", output " << o << ", input " << k + i;
          }
        }
      }
    }
  }
}

TEST_P(PackWeightsTest, RangesOfOutputsAreCutAnywhere) {
  const TestWeights w = RandomWeights(DType::kQ4_K, 40, 256, 3);
  std::vector<float> whole(256 * 48), part(256 * 8);
  UnpackToFloat(*ctx().kernels, w.view, 0, 48, 0, 256, whole.data());
  UnpackToFloat(*ctx().kernels, w.view, 24, 8, 0, 256, part.data());
  for (size_t i = 0; i < 256; ++i) {
    for (size_t o = 0; o < 8; ++o) EXPECT_EQ(part[i * 8 + o], whole[i * 48 + 24 + o]);
  }
}

// Longer blocks move a weight by half a step of the block's scale at most.
TEST(PackWeights, LongBlocksRoundToTheNearestStep) {
  constexpr size_t kOut = 40, kIn = 2 * kLongBlock;
  const TestWeights stored = RandomWeights(DType::kQ8_0, kOut, kIn, 3),
                    longer = RandomWeights(DType::kQ8_0, kOut, kIn, 3, PackScales::kLongBlocks);
  ASSERT_EQ(longer.view.format, kPackedLong);
  for (size_t block = 0; block < kOut * kIn; block += kLongBlock) {
    double most = 0;
    for (size_t i = block; i < block + kLongBlock; ++i) most = std::max(most, std::abs(stored.exact[i]));
    for (size_t i = block; i < block + kLongBlock; ++i) {
      EXPECT_NEAR(longer.exact[i], stored.exact[i], 1.001 * most / 254) << i;
    }
  }
}

TEST(PackWeights, LongBlocksOfStrangeScales) {
  std::vector<BlockQ8_0> row(kLongBlock / 32);
  for (BlockQ8_0& block : row) std::fill_n(block.qs, 32, int8_t{-128});
  std::vector<std::byte> packed(2 * PanelBytes(kPackedLong, kLongBlock));
  const auto first = [&](f16_t d) {
    row[0].d = d;
    PackPanels(kPackedLong, reinterpret_cast<const std::byte*>(row.data()), row.size() * sizeof(BlockQ8_0), 1,
               kLongBlock, 0, 2, packed.data());
    return LongBlockValues(packed, 1, kLongBlock)[0];
  };
  EXPECT_EQ(first(F32ToF16(0.0f)), 0.0f);
  EXPECT_NEAR(first(F32ToF16(1.0f)), -128.0f, 0.1f);
  EXPECT_NEAR(first(F32ToF16(-1.0f)), 128.0f, 0.1f);
  EXPECT_TRUE(std::isnan(first(F32ToF16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(PackWeights, LongBlocksNeedRowsThatDivide) {
  EXPECT_EQ(FindPackedFormat(DType::kQ8_0, kLongBlock, PackScales::kLongBlocks), kPackedLong);
  EXPECT_EQ(FindPackedFormat(DType::kQ8_0, kLongBlock + 32, PackScales::kLongBlocks), kPackedQ8_0);
  EXPECT_EQ(FindPackedFormat(DType::kQ4_0, kLongBlock, PackScales::kLongBlocks), kPackedQ4_0);
}

TEST(PackWeights, SizesAreTheFormats) {
  EXPECT_EQ(PackedPanels(1), 2u);
  EXPECT_EQ(PackedPanels(32), 2u);
  EXPECT_EQ(PackedPanels(33), 4u);
  for (const DType type : kQuantisedTypes) {
    const PackedFormat format = FindPackedFormat(type).value();
    const double file = static_cast<double>(RowBytes(type, 256).value() * kPackedOutputs);
    EXPECT_GE(static_cast<double>(PanelBytes(format, 256)), file);
    EXPECT_LE(static_cast<double>(PanelBytes(format, 256)), 1.04 * file) << DTypeName(type);
  }
  EXPECT_FALSE(FindPackedFormat(DType::kF16));
}

}  // namespace
}  // namespace mobilevlm
