// The work of models and the ceilings of the machine.
#include "costs/counts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string_view>

#include "costs/ceilings.h"
#include "costs/probes.h"
#include "schema/sizes.h"
#include "schema/tensors.h"

namespace mobilevlm::costs {
namespace {

// What a file of these tensors would list: matrices as `matrices`, the output as `output`.
std::vector<GgufTensor> Tensors(const std::vector<TensorSpec>& specs, DType matrices, DType output) {
  std::vector<GgufTensor> tensors;
  for (const TensorSpec& spec : specs) {
    const DType type = spec.storage == TensorStorage::kFloat  ? DType::kF32
                       : spec.storage == TensorStorage::kHalf ? DType::kF16
                       : spec.hf_name == "lm_head.weight"     ? output
                                                              : matrices;
    tensors.push_back({spec.gguf_name, type, spec.shape, {}});
  }
  return tensors;
}

// MobileVLM V2 1.7B; the wanted numbers are those of the published measurements, by independent calculation.
class CountsTest : public ::testing::Test {
 protected:
  const ModelSize size_ = FindModelSize("1.7b").value();
};

TEST_F(CountsTest, OneImageIs374GigaOperations) {
  const EncodeOperations count = CountEncode(size_.vision, size_.projector());
  EXPECT_NEAR(count.matrices / 1e9, 334, 1.5);
  EXPECT_NEAR(count.attention / 1e9, 31, 0.6);
  EXPECT_NEAR(count.projector / 1e9, 7.25, 0.02);  // 576 rows through both linears
  EXPECT_NEAR(count.total() / 1e9, 374, 1.5);
}

TEST_F(CountsTest, APromptOf190Is472GigaOperations) {
  EXPECT_NEAR(CountText(size_.llm, 0, 190) / 1e9, 472, 0.6);
}

TEST_F(CountsTest, APromptIsTheSumOfItsPositions) {
  constexpr int kPositions = 20;
  const double logits = 2.0 * size_.llm.hidden * size_.llm.vocab;
  double sum = 0;
  for (int i = 0; i < kPositions; ++i) sum += CountText(size_.llm, i, 1) - logits;
  EXPECT_DOUBLE_EQ(CountText(size_.llm, 0, kPositions) - logits, sum);
}

TEST_F(CountsTest, ATokenReads747MegabytesAtQ4AndItsKeysAndValues) {
  const auto specs = LlmTensors(size_.llm);
  // llama.cpp's Q4_0 files keep the output in Q6_K.
  EXPECT_NEAR(static_cast<double>(DecodeWeightBytes(Tensors(specs, DType::kQ4_0, DType::kQ6_K))) / 1e6, 747.8,
              0.5);
  EXPECT_NEAR(static_cast<double>(DecodeWeightBytes(Tensors(specs, DType::kQ4_0, DType::kQ4_0))) / 1e6, 731,
              0.5);
  EXPECT_EQ(KvBytesPerPosition(size_.llm, DType::kF16), 192u * 1024);
  EXPECT_EQ(KvBytesPerPosition(size_.llm, DType::kF32), 384u * 1024);
}

// Whole blocks per head, as the cache has them: bench_test compares with the cache itself.
TEST(Counts, AHeadOf80TakesThreeBlocksOfQ8_0) {
  const LlmConfig llm = FindModelSize("3b")->llm;
  ASSERT_EQ(llm.head_dim, 80);
  const uint64_t heads = 2u * static_cast<uint64_t>(llm.layers) * static_cast<uint64_t>(llm.kv_heads);
  EXPECT_EQ(KvBytesPerPosition(llm, DType::kQ8_0), heads * 3 * 34);
  EXPECT_EQ(KvBytesPerPosition(llm, DType::kF16), heads * 80 * 2);
  EXPECT_EQ(KvBytesPerPosition(llm, DType::kF32), heads * 80 * 4);
  LlmConfig narrow;  // all heads together are no whole number of blocks
  narrow.layers = 1, narrow.kv_heads = 2, narrow.head_dim = 6;
  EXPECT_EQ(KvBytesPerPosition(narrow, DType::kQ8_0), 2u * 2 * 34);
}

TEST_F(CountsTest, TheMainTypeIsThatOfMostBytes) {
  const auto text = Tensors(LlmTensors(size_.llm), DType::kQ4_0, DType::kQ6_K);
  EXPECT_EQ(MainType(text), DType::kQ4_0);
  EXPECT_EQ(MainType(Tensors(VisionTensors(size_.vision), DType::kF16, DType::kF16)), DType::kF16);
  EXPECT_EQ(MainType({}), DType::kF32);
}

TEST(Ceilings, AreThoseOfAComputer) {
  constexpr uint64_t kSmallBuffer = 8 << 20;
  const Ceilings c = MeasureCeilings(1, kSmallBuffer).value();
  EXPECT_EQ(c.threads, 1);
  EXPECT_GT(c.fp32_gflops, 0.5);
  EXPECT_LT(c.fp32_gflops, 2000);
  EXPECT_GT(c.int8_gops, 0.5);
  EXPECT_GT(c.read_gbs, 0.2);
  EXPECT_FALSE(c.fp32_method.empty() || c.int8_method.empty() || c.read_method.empty());
}

TEST(Ceilings, ARatioOutsideItsLawIsAFailedProbe) {
  constexpr double kLeast = 3.5, kMost = 4.5;  // of AVX-512 VNNI
  EXPECT_FALSE(RatioHolds(3.4, kLeast, kMost));
  EXPECT_TRUE(RatioHolds(3.5, kLeast, kMost));
  EXPECT_TRUE(RatioHolds(4.5, kLeast, kMost));
  EXPECT_FALSE(RatioHolds(4.6, kLeast, kMost));
  EXPECT_FALSE(RatioHolds(std::nan(""), kLeast, kMost));
  for (const double ratio : {0.5, 3.4, 4.6, 100.0}) EXPECT_TRUE(RatioHolds(ratio, 0, 0)) << ratio;

  const Probes probes = ChooseProbes();
  if (probes.int8.method == std::string_view("vpdpbusd zmm")) {
    EXPECT_EQ(probes.least_ratio, kLeast);
    EXPECT_EQ(probes.most_ratio, kMost);
  } else {
    EXPECT_EQ(probes.least_ratio, 0);
  }
}

// Judged as MeasureCeilings judges it, on a CPU whose probes have a law.
TEST(Ceilings, BestNamesWhatIsWrong) {
  const bool law = ChooseProbes().least_ratio > 0;
  Ceilings c;
  c.fp32_method = "fma", c.int8_method = "dot", c.fp32_gflops = 100;
  for (const double int8_gops : {340.0, 460.0}) {
    c.int8_gops = int8_gops;
    const std::string failed = Ceilings::Best(c, c).failed_probe;
    EXPECT_EQ(failed.starts_with("dot over fma should be 3.5 to 4.5, found"), law) << failed;
  }
}

TEST(Ceilings, BestTakesTheBetterAndJudgesTheRatioAnew) {
  Ceilings a, b;
  a.fp32_gflops = 100, a.int8_gops = 150, a.read_gbs = 9;
  b.fp32_gflops = 60, b.int8_gops = 400, b.read_gbs = 10;
  a.failed_probe = "ratio";
  const Ceilings best = Ceilings::Best(a, b);
  EXPECT_EQ(best.fp32_gflops, 100);
  EXPECT_EQ(best.int8_gops, 400);
  EXPECT_EQ(best.read_gbs, 10);
  EXPECT_EQ(best.failed_probe, "");  // 4.0 is right everywhere
}

}  // namespace
}  // namespace mobilevlm::costs
