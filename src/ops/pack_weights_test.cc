// Packed weights stand for exactly what the file's blocks say: every format's random bytes, packed and
// unpacked again, against the scalar dequantiser.
#include "ops/pack_weights.h"

#include "ops/linear_quantised.h"
#include "ops/test_support.h"
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
