#include "eval/fidelity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mobilevlm::eval {
namespace {

TEST(CosineFidelity, MeanAndLeastOverRows) {
  CosineFidelity fidelity;
  EXPECT_EQ(fidelity.mean(), 0);
  const std::vector<float> a{3, 4, 1, 0, 0, 2};
  const std::vector<float> b{6, 8, 0, 1, 0, -2};
  fidelity.Add(a, b, 2);  // parallel, at a right angle, opposite
  EXPECT_EQ(fidelity.rows(), 3u);
  EXPECT_NEAR(fidelity.mean(), 0, 1e-12);
  EXPECT_NEAR(fidelity.least(), -1, 1e-12);
  fidelity.Add(std::vector<float>{0, 0}, std::vector<float>{1, 0}, 2);
  EXPECT_EQ(fidelity.rows(), 4u);
}

// p = (1/2, 1/2), q = (1/4, 3/4): KL(p | q) = ln 2 - (1/2) ln 3 + ln 2 - ln 2 = (1/2) ln(4/3).
TEST(LogitFidelity, WorkedByHand) {
  LogitFidelity fidelity;
  const std::vector<float> p{5, 5};
  const std::vector<float> q{0, std::log(3.0f)};
  fidelity.Add(p, q, 2);
  EXPECT_NEAR(fidelity.mean_kl(), 0.5 * std::log(4.0 / 3.0), 1e-6);
  EXPECT_EQ(fidelity.top1(), 0);  // the first of equals, and the second
  fidelity.Add(q, q, 2);
  EXPECT_NEAR(fidelity.mean_kl(), 0.25 * std::log(4.0 / 3.0), 1e-6);
  EXPECT_EQ(fidelity.top1(), 0.5);
}

TEST(LogitFidelity, AConstantChangesNothingAndLargeLogitsDoNotOverflow) {
  LogitFidelity fidelity;
  fidelity.Add(std::vector<float>{1000, 999, -1000}, std::vector<float>{900, 899, -1100}, 3);
  EXPECT_NEAR(fidelity.mean_kl(), 0, 1e-9);
  EXPECT_EQ(fidelity.top1(), 1);
}

}  // namespace
}  // namespace mobilevlm::eval
