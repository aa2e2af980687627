// The comparison that all golden tests rely on must fail for each of these mutants of real reference data.
#include "compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "golden.h"

namespace mobilevlm::golden {
namespace {

class CompareMutants : public ::testing::TestWithParam<const char*> {
 protected:
  std::vector<float> wanted_ = ReadGolden(GetParam()).values;
  bool Accepts(const std::vector<float>& found) const { return Compare(found, wanted_).Within(kTolerance); }
};

TEST_P(CompareMutants, AcceptsTheReferenceAndRoundingNoise) {
  EXPECT_TRUE(Accepts(wanted_));
  std::vector<float> noisy = wanted_;
  for (size_t i = 0; i < noisy.size(); ++i) noisy[i] += (i % 2 == 0 ? 1e-4f : -1e-4f);
  EXPECT_TRUE(Accepts(noisy));
}

TEST_P(CompareMutants, RefusesNanAndInfinityAnywhere) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const size_t at : {size_t{0}, wanted_.size() / 2, wanted_.size() - 1}) {
      std::vector<float> mutant = wanted_;
      mutant[at] = bad;
      EXPECT_FALSE(Accepts(mutant)) << bad << " at " << at;
    }
  }
}

TEST_P(CompareMutants, RefusesASignFlip) {
  std::vector<float> mutant = wanted_;
  for (float& value : mutant) value = -value;
  EXPECT_FALSE(Accepts(mutant));
  mutant = wanted_;  // of one value only
  const auto largest = std::max_element(mutant.begin(), mutant.end());
  *largest = -*largest;
  EXPECT_FALSE(Accepts(mutant));
}

TEST_P(CompareMutants, RefusesAShiftByOne) {
  std::vector<float> mutant = wanted_;
  std::rotate(mutant.begin(), mutant.begin() + 1, mutant.end());
  EXPECT_FALSE(Accepts(mutant));
}

TEST_P(CompareMutants, RefusesAScaleOfOnePercent) {
  std::vector<float> mutant = wanted_;
  for (float& value : mutant) value *= 1.01f;
  EXPECT_FALSE(Accepts(mutant));
}

TEST_P(CompareMutants, RefusesAnotherSizeAndNothing) {
  std::vector<float> mutant = wanted_;
  mutant.pop_back();
  EXPECT_FALSE(Accepts(mutant));
  EXPECT_FALSE(Accepts({}));
  EXPECT_FALSE(Compare(std::span<const float>(), std::span<const float>()).Within(kTolerance));
}

INSTANTIATE_TEST_SUITE_P(References, CompareMutants,
                         ::testing::Values("nano-ldpv2/vision_features.npy", "nano-ldpv2/visual_tokens.npy",
                                           "nano-ldpv2/prompt_logits.npy", "nano80-ldp/visual_tokens.npy",
                                           "nano80-ldp/prompt_logits.npy", "nano-mlp/visual_tokens.npy",
                                           "nano-mlp/prompt_logits.npy"));

}  // namespace
}  // namespace mobilevlm::golden
