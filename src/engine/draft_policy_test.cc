#include "engine/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mobilevlm::engine {
namespace {

// A machine and a text: a step over n ids takes one + each * (n - 1) ms, every drafted id is right with the
// same frequency. Runs `steps` steps, every one with a draft at hand, and returns ids per millisecond
// relative to plain decoding.
struct World {
  double one, each;
  size_t right_of_ten;

  double Speed(DraftPolicy& policy, size_t steps) const {
    double ids = 0, milliseconds = 0;
    size_t dice = 0;
    const auto is_right = [&] { return dice++ * 7 % 10 < right_of_ten; };
    for (size_t step = 0; step < steps; ++step) {
      const size_t drafted = policy.Choose(3, kMostDraftedAuto);
      const double cost = one + each * static_cast<double>(drafted);
      size_t right = 0;
      while (right < drafted && is_right()) ++right;
      const bool free_look = right == drafted && drafted < kMostDraftedAuto;
      const bool free_right = free_look && is_right();
      policy.RecordCost(1 + drafted, cost);
      policy.RecordOutcome(3, std::min(right + 1, kMostDraftedAuto), right + free_right);
      ids += static_cast<double>(1 + right);
      milliseconds += cost;
    }
    return ids * one / milliseconds;
  }
};

TEST(DraftPolicy, BeginsWithPlainStepsSoThatOneHasAPrice) {
  DraftPolicy policy;
  EXPECT_EQ(policy.Choose(4, 8), 0u);
  policy.RecordCost(1, 10);
  EXPECT_EQ(policy.Choose(4, 8), 0u);
  policy.RecordCost(1, 10);
  EXPECT_GT(policy.Choose(4, 8), 0u);
  EXPECT_EQ(policy.Choose(4, 0), 0u);
  EXPECT_LE(policy.Choose(4, 2), 2u);
}

TEST(DraftPolicy, DraftsMuchWhereABatchIsCheapAndDraftsAreGood) {
  DraftPolicy policy;
  EXPECT_GT((World{.one = 30, .each = 1, .right_of_ten = 9}.Speed(policy, 500)), 3.0);
}

TEST(DraftPolicy, SwitchesItselfOffWhereABatchCostsAsMuchAsItsParts) {
  DraftPolicy policy;
  const World world{.one = 10, .each = 10, .right_of_ten = 9};
  EXPECT_GT(world.Speed(policy, 2000), 0.97);
}

TEST(DraftPolicy, SwitchesItselfOffWhereDraftsAreWrong) {
  DraftPolicy policy;
  const World world{.one = 30, .each = 3, .right_of_ten = 0};
  world.Speed(policy, 100);
  EXPECT_EQ(policy.Choose(3, 8), 0u);
  EXPECT_GT(world.Speed(policy, 1000), 0.99);
}

// Right or wrong is seen for nothing while it is off, so a text that becomes predictable is noticed.
TEST(DraftPolicy, SwitchesItselfOnAgain) {
  DraftPolicy policy;
  World{.one = 30, .each = 3, .right_of_ten = 0}.Speed(policy, 300);
  World{.one = 30, .each = 3, .right_of_ten = 9}.Speed(policy, 50);
  EXPECT_GT((World{.one = 30, .each = 3, .right_of_ten = 9}.Speed(policy, 300)), 2.0);
}

TEST(DraftPolicy, ABadPriceIsForgottenInTime) {
  DraftPolicy policy;
  policy.RecordCost(1, 10);
  policy.RecordCost(1, 10);
  policy.RecordCost(9, 1000);  // the machine was busy elsewhere
  EXPECT_EQ(policy.Choose(3, 8), 0u);
  EXPECT_GT((World{.one = 10, .each = 1, .right_of_ten = 9}.Speed(policy, 1000)), 2.0);
}

TEST(DraftPolicy, LearnsEachLengthOfMatchByItself) {
  DraftPolicy policy;
  policy.RecordCost(1, 10);
  policy.RecordCost(1, 10);
  policy.RecordCost(9, 15);
  for (int i = 0; i < 100; ++i) {
    policy.RecordOutcome(1, 1, 0);
    policy.RecordOutcome(4, 8, 8);
  }
  EXPECT_EQ(policy.Choose(1, 8), 0u);
  EXPECT_EQ(policy.Choose(4, 8), 8u);
}

TEST(DraftPolicy, OneStepInABatchOfManyStaysPlain) {
  DraftPolicy policy;
  policy.RecordCost(1, 10);
  policy.RecordCost(1, 10);
  size_t plain = 0;
  for (int i = 0; i < 100; ++i) {
    const size_t drafted = policy.Choose(4, 8);
    plain += drafted == 0;
    policy.RecordCost(1 + drafted, drafted == 0 ? 10 : 11);
    policy.RecordOutcome(4, drafted, drafted);
  }
  EXPECT_GE(plain, 5u);
  EXPECT_LE(plain, 7u);
}

TEST(DraftPolicy, AStandingClockIsNoDivisionByZero) {
  DraftPolicy policy;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(policy.Choose(4, 8), 0u);
    policy.RecordCost(1, 0);
  }
}

}  // namespace
}  // namespace mobilevlm::engine
