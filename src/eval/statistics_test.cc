#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <vector>

#include "eval/metrics/set_metrics.h"
#include "eval/score_sheet.h"

namespace mobilevlm::eval {
namespace {

// Binomial (10, 1/2): 2 (1 + 10) / 1024 for 1 against 9; all for 5 against 5.
TEST(McNemar, ExactProbabilities) {
  EXPECT_NEAR(McNemarExact(1, 9), 22.0 / 1024, 1e-12);
  EXPECT_NEAR(McNemarExact(9, 1), 22.0 / 1024, 1e-12);
  EXPECT_NEAR(McNemarExact(0, 5), 2.0 / 32, 1e-12);
  EXPECT_EQ(McNemarExact(5, 5), 1);
  EXPECT_EQ(McNemarExact(0, 0), 1);
  EXPECT_LT(McNemarExact(100, 400), 1e-30);
}

// The mean of n fair coins has the standard error 1 / (2 sqrt n).
TEST(Bootstrap, WidthOfAMean) {
  std::vector<double> scores;
  for (int i = 0; i < 400; ++i) scores.push_back(i % 2);
  const Interval interval = BootstrapInterval(scores.size(), [&](std::span<const size_t> sample) {
    double sum = 0;
    for (const size_t i : sample) sum += scores[i];
    return sum / static_cast<double>(sample.size());
  });
  EXPECT_NEAR(interval.low, 0.5 - 1.96 / 40, 0.01);
  EXPECT_NEAR(interval.high, 0.5 + 1.96 / 40, 0.01);
}

TEST(Paired, BinaryScoresUseMcNemarOthersSignFlips) {
  std::vector<double> a(20, 0), b(20, 0);
  for (size_t i = 0; i < 9; ++i) b[i] = 1;
  a[15] = 1;
  const PairedDifference binary = ComparePaired(a, b);
  EXPECT_TRUE(binary.exact);
  EXPECT_EQ(binary.only_a, 1u);
  EXPECT_EQ(binary.only_b, 9u);
  EXPECT_NEAR(binary.difference, 0.4, 1e-12);
  EXPECT_NEAR(binary.p_value, 22.0 / 1024, 1e-12);
  // Five differences of one sign: 2 of 2^5 sign patterns are as far.
  const PairedDifference soft =
      ComparePaired(std::vector<double>{0, 0.3, 0, 0.3, 0}, std::vector<double>{0.6, 0.9, 0.6, 0.9, 0.6});
  EXPECT_FALSE(soft.exact);
  EXPECT_NEAR(soft.p_value, 2.0 / 32, 0.01);
  const PairedDifference same = ComparePaired(a, a);
  EXPECT_EQ(same.p_value, 1);
  EXPECT_EQ(same.interval.low, 0);
}

TEST(Figures, WilsonForRightAndWrongBootstrapForTheRest) {
  const std::vector<double> binary{1, 1, 1, 0};
  const Figure figure = MeanFigure("x", binary);
  EXPECT_DOUBLE_EQ(figure.value, 75);
  EXPECT_NEAR(figure.interval->low, 30.06, 0.05);
  const Figure soft = MeanFigure("y", std::vector<double>{0.3, 0.6, 0.9});
  EXPECT_NEAR(soft.value, 60, 1e-9);
  EXPECT_GE(soft.interval->low, 30 - 1e-9);
  EXPECT_FALSE(MeanFigure("z", {}).interval);
}

}  // namespace
}  // namespace mobilevlm::eval
