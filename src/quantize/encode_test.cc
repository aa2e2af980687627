// The encoders against ggml's results on the same values, and on blocks that trip searches.
#include "quantize/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "tensor/dequantize.h"
#include "tensor/npy.h"

namespace mobilevlm {
namespace {

const std::string kQuants = MOBILEVLM_SOURCE_DIR "/tests/golden/quants/";

std::vector<float> RoundTrip(DType type, const std::vector<float>& x, const float* importance = nullptr) {
  std::vector<std::byte> bytes(RowBytes(type, x.size()).value());
  Encode(type, x.data(), x.size(), importance, bytes.data());
  return DequantizeTensor(type, bytes);
}

double Rms(const std::vector<float>& a, const std::vector<float>& b, const float* weights = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = double{a[i]} - double{b[i]};
    sum += (weights != nullptr ? weights[i] : 1.0) * difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::vector<float> Normal(size_t n, uint64_t seed, double deviation) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(deviation * random.Normal());
  return values;
}

class EncodeTest : public ::testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(Quantised, EncodeTest,
                         ::testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                           DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                                           DType::kQ5_K, DType::kQ6_K),
                         [](const auto& param) { return std::string(DTypeName(param.param)); });

TEST_P(EncodeTest, LosesNoMoreThanGgml) {
  std::string name(DTypeName(GetParam()));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return std::tolower(c); });
  const auto original = ReadNpy(kQuants + "original.npy");
  const auto golden = ReadNpy(kQuants + name + ".npy");
  ASSERT_TRUE(original && golden);
  const double found = Rms(original->values, RoundTrip(GetParam(), original->values));
  const double wanted = Rms(original->values, golden->values);
  EXPECT_LE(found, wanted);
  EXPECT_GT(found, 0.5 * wanted);  // a comparison with itself would be 0
}

// The error of a normal distribution, as a fraction of its deviation: what each format costs. The bounds lie
// 5 % above what ggml's algorithms reach on the same values.
TEST_P(EncodeTest, NormalValuesLoseWhatTheFormatCosts) {
  double bound = 0;
  switch (GetParam()) {
    case DType::kQ2_K:
      bound = 0.290;
      break;
    case DType::kQ3_K:
      bound = 0.155;
      break;
    case DType::kQ4_0:
      bound = 0.090;
      break;
    case DType::kQ4_1:
      bound = 0.080;
      break;
    case DType::kQ4_K:
      bound = 0.075;
      break;
    case DType::kQ5_0:
      bound = 0.044;
      break;
    case DType::kQ5_1:
      bound = 0.039;
      break;
    case DType::kQ5_K:
      bound = 0.037;
      break;
    case DType::kQ6_K:
      bound = 0.0185;
      break;
    default:
      bound = 0.0056;
      break;
  }
  const std::vector<float> x = Normal(256 * 64, 7, 0.02);
  EXPECT_LT(Rms(x, RoundTrip(GetParam(), x)) / 0.02, bound);
}

TEST_P(EncodeTest, ZerosStayZeros) {
  for (const float value : RoundTrip(GetParam(), std::vector<float>(512, 0.0f))) EXPECT_EQ(value, 0.0f);
}

// One value repeated, of either sign, from the range of weights to the smallest halves.
TEST_P(EncodeTest, ConstantBlocks) {
  for (const float value : {1.0f, -1.0f, 0.02f, -0.02f, 1e-3f, -300.0f}) {
    for (const float back : RoundTrip(GetParam(), std::vector<float>(256, value))) {
      EXPECT_NEAR(back, value, 0.04 * std::fabs(value)) << value;
    }
  }
}

// A single value among zeros keeps its sign and size; the zeros beside it stay small.
TEST_P(EncodeTest, OneOutlier) {
  for (const float outlier : {5.0f, -5.0f}) {
    std::vector<float> x(256, 0.0f);
    x[77] = outlier;
    const std::vector<float> back = RoundTrip(GetParam(), x);
    EXPECT_NEAR(back[77], outlier, 0.25);
    for (size_t i = 0; i < x.size(); ++i) {
      if (i == 77) continue;
      EXPECT_NEAR(back[i], 0, 0.05) << i;
    }
  }
}

// Values below what a half can scale become zero or nearly so, and no division by a subnormal escapes.
TEST_P(EncodeTest, TinyAndHugeValues) {
  for (const float size : {1e-44f, 1e-38f, 1e-20f, 1e-7f, 6e4f}) {
    std::vector<float> x = Normal(256, 3, 1);
    for (float& value : x) value = std::clamp(value / 4, -1.0f, 1.0f) * size;
    for (const float back : RoundTrip(GetParam(), x)) {
      ASSERT_TRUE(std::isfinite(back)) << size;
      ASSERT_LE(std::fabs(back), 1.3f * size + 1e-6f) << size;
    }
  }
}

// Whatever is not a number must not become an integer (undefined behaviour), and must not go unnoticed.
TEST_P(EncodeTest, NotANumberIsNoCrash) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(), 3e38f}) {
    std::vector<float> x = Normal(256, 5, 1);
    x[200] = bad;
    const std::vector<float> back = RoundTrip(GetParam(), x);
    EXPECT_FALSE(std::isfinite(Rms(x, back)) && Rms(x, back) < 1e30) << bad;
  }
}

TEST_P(EncodeTest, ImportanceMovesTheErrorElsewhere) {
  if (GetParam() == DType::kQ8_0) return;  // rounds as ggml does, whatever the importance
  const std::vector<float> x = Normal(256 * 32, 11, 0.02);
  Random random(12);
  std::vector<float> importance(x.size());
  for (float& value : importance) value = random.Chance(0.1) ? 30.0f : 1.0f;
  const std::vector<float> plain = RoundTrip(GetParam(), x);
  const std::vector<float> weighted = RoundTrip(GetParam(), x, importance.data());
  EXPECT_LT(Rms(x, weighted, importance.data()), 0.97 * Rms(x, plain, importance.data()));
  EXPECT_GE(Rms(x, weighted), Rms(x, plain));
}

// Columns that never meet an activation have importance 0; a block of them must still be finite.
TEST_P(EncodeTest, NoImportanceAtAll) {
  const std::vector<float> x = Normal(256, 13, 1);
  const std::vector<float> importance(x.size(), 0.0f);
  for (const float back : RoundTrip(GetParam(), x, importance.data())) EXPECT_TRUE(std::isfinite(back));
}

// Blocks know nothing of their neighbours.
TEST_P(EncodeTest, BlocksAreIndependent) {
  const std::vector<float> x = Normal(512, 17, 0.1);
  const std::vector<float> whole = RoundTrip(GetParam(), x);
  const size_t size = GetDTypeInfo(GetParam()).block_size;
  for (size_t i = 0; i < x.size(); i += size) {
    const auto at = static_cast<ptrdiff_t>(i), end = static_cast<ptrdiff_t>(i + size);
    EXPECT_EQ(RoundTrip(GetParam(), {x.begin() + at, x.begin() + end}),
              std::vector<float>(whole.begin() + at, whole.begin() + end));
  }
}

TEST(EncodeExact, Q8_0RoundsAsGgml) {
  const auto original = ReadNpy(kQuants + "original.npy");
  const auto golden = ReadNpy(kQuants + "q8_0.npy");
  ASSERT_TRUE(original && golden);
  EXPECT_EQ(RoundTrip(DType::kQ8_0, original->values), golden->values);
}

TEST(EncodeExact, PlainTypesRoundToNearest) {
  for (const auto& [type, name] :
       {std::pair{DType::kF32, "original"}, {DType::kF16, "f16"}, {DType::kBF16, "bf16"}}) {
    const auto original = ReadNpy(kQuants + "original.npy");
    const auto golden = ReadNpy(kQuants + name + ".npy");
    ASSERT_TRUE(original && golden);
    EXPECT_EQ(RoundTrip(type, original->values), golden->values) << name;
  }
}

}  // namespace
}  // namespace mobilevlm
