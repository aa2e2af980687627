#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/exact_match.h"
#include "eval/kind_report.h"
#include "eval/proportion.h"

namespace mobilevlm::eval {
namespace {

TEST(ExactMatch, NormalisesOnlyEdgesCaseAndFullStop) {
  EXPECT_TRUE(ExactMatch(" Dog.\n", "dog"));
  EXPECT_TRUE(ExactMatch("K7B", "k7b"));
  EXPECT_FALSE(ExactMatch("a dog", "dog"));
  EXPECT_FALSE(ExactMatch("dogs", "dog"));
  EXPECT_FALSE(ExactMatch("", "dog"));
  EXPECT_TRUE(ExactMatch(" . ", ""));
  EXPECT_EQ(NormaliseAnswer("3.5.."), "3.5.");
}

// Values of the published formula, worked by hand with z = 1.96: 8 of 10 gives (0.490, 0.943).
TEST(Wilson, KnownIntervals) {
  const Interval eight = WilsonInterval(8, 10);
  EXPECT_NEAR(eight.low, 0.4902, 5e-4);
  EXPECT_NEAR(eight.high, 0.9433, 5e-4);
  EXPECT_NEAR(WilsonInterval(0, 10).low, 0, 1e-12);
  EXPECT_NEAR(WilsonInterval(0, 10).high, 0.2775, 5e-4);
  EXPECT_NEAR(WilsonInterval(10, 10).high, 1, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 0).high, 1);
}

TEST(KindReport, TextAndJsonHoldEveryKind) {
  KindReport report;
  report.At("name", 0.01).correct = 3;
  report.At("name", 0.01).total = 4;
  report.At("count", 0.11).total = 2;
  report.At("count", 0.11).blank_total = 2;
  report.At("count", 0.11).blank_correct = 1;
  ASSERT_EQ(report.kinds.size(), 2u);
  EXPECT_NE(ToText(report).find("75.0 %"), std::string::npos);
  const auto json = nlohmann::json::parse(ToJson(report));
  EXPECT_DOUBLE_EQ(json["kinds"]["name"]["accuracy"], 0.75);
  EXPECT_DOUBLE_EQ(json["kinds"]["count"]["blank"], 0.5);
  EXPECT_FALSE(json["kinds"]["name"].contains("blank"));
}

}  // namespace
}  // namespace mobilevlm::eval
