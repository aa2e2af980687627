// Every element type against ggml: a file with one tensor of each, and what ggml made of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "gguf/reader.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"
#include "tensor/npy.h"

namespace mobilevlm {
namespace {

const std::string kQuants = MOBILEVLM_SOURCE_DIR "/tests/golden/quants/";

class EveryType : public ::testing::TestWithParam<DType> {
 protected:
  // "w.q4_k"
  static std::string Name() {
    std::string name(DTypeName(GetParam()));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) { return std::tolower(c); });
    return name;
  }
};

TEST_P(EveryType, DequantizesToTheGoldenBits) {
  const auto file = GgufFile::Open(kQuants + "every_type.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const GgufTensor* tensor = file->FindTensor("w." + Name());
  ASSERT_NE(tensor, nullptr);
  ASSERT_EQ(tensor->type, GetParam());
  const auto golden = ReadNpy(kQuants + Name() + ".npy");
  ASSERT_TRUE(golden) << golden.error().message;

  const std::vector<float> values = DequantizeTensor(tensor->type, tensor->data);
  ASSERT_EQ(values.size(), golden->values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(golden->values[i])) << i;
  }
}

// One block at a time from an odd address gives the same as the whole tensor at once.
TEST_P(EveryType, BlocksStandAloneAtAnyAddress) {
  const auto file = GgufFile::Open(kQuants + "every_type.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const GgufTensor& tensor = *file->FindTensor("w." + Name());
  const DTypeInfo& info = GetDTypeInfo(tensor.type);
  const std::vector<float> whole = DequantizeTensor(tensor.type, tensor.data);
  std::vector<std::byte> moved(info.block_bytes + 1);
  std::vector<float> block(info.block_size);
  for (size_t i = 0; i < whole.size() / info.block_size; ++i) {
    std::memcpy(moved.data() + 1, tensor.data.data() + i * info.block_bytes, info.block_bytes);
    Dequantize(tensor.type, moved.data() + 1, info.block_size, block.data());
    ASSERT_EQ(std::memcmp(block.data(), whole.data() + i * info.block_size, 4 * block.size()), 0) << i;
  }
  Dequantize(tensor.type, moved.data(), 0, nullptr);
  EXPECT_TRUE(DequantizeTensor(tensor.type, {}).empty());
}

INSTANTIATE_TEST_SUITE_P(Gguf, EveryType,
                         ::testing::Values(DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1,
                                           DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K,
                                           DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K),
                         [](const auto& param) { return std::string(DTypeName(param.param)); });

TEST(EveryTypeBad, PartOfABlockIsOurMistake) {
  const std::byte bytes[256] = {};
  float out[256];
  EXPECT_DEATH(Dequantize(DType::kQ4_K, bytes, 128, out), "128 elements of Q4_K");
  EXPECT_DEATH(DequantizeTensor(DType::kQ8_0, std::span(bytes).first(33)), "33 bytes of Q8_0");
}

// The 6-bit scales of the golden file need not reach every bit; these do.
TEST(BlockScales, EveryBitHasItsPlace) {
  for (size_t byte = 0; byte < 12; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      uint8_t scales[12] = {};
      scales[byte] = static_cast<uint8_t>(1 << bit);
      int scale_min = 0;  // bits set in the eight scales and mins: always the one
      int q3 = 0;
      for (size_t s = 0; s < 8; ++s) {
        const ScaleMin unpacked = UnpackScaleMin(scales, s);
        scale_min += std::popcount(unpacked.scale) + std::popcount(unpacked.min);
      }
      for (size_t s = 0; s < 16; ++s)
        q3 += std::popcount(static_cast<unsigned>(UnpackScaleQ3_K(scales, s) + 32));
      EXPECT_EQ(scale_min, 1) << byte << ' ' << bit;
      EXPECT_EQ(q3, 1) << byte << ' ' << bit;
    }
  }
}

}  // namespace
}  // namespace mobilevlm
