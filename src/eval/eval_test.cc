#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/exact_match.h"
#include "eval/kind_report.h"
#include "eval/proportion.h"
#include "eval/suite.h"

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

TEST(KindReport, TheTableIsAligned) {
  KindReport report;
  KindScore& name = report.At("name", 0.01);
  name.correct = 3;
  name.total = 4;
  KindScore& count = report.At("count", 1.0 / 9);
  count.correct = count.total = 400;
  count.blank_correct = 40;
  count.blank_total = 400;
  EXPECT_EQ(ToText(report),
            "kind       questions  accuracy  95 % interval     blank  chance\n"
            "name               4    75.0 %  30.1 to 95.4 %        -   1.0 %\n"
            "count            400   100.0 %  99.0 to 100.0 %  10.0 %  11.1 %\n");
}

// A suite of two pictures: the model's own answer counts as right for one and, blank or not, nothing does
// for the other.
TEST(Suite, CountsRightAnswersWithAndWithoutThePicture) {
  const std::string model_directory = MOBILEVLM_SOURCE_DIR "/tests/golden/nano-ldpv2/";
  const auto model = Model::Load(
      {.text = model_directory + "text.gguf", .mmproj = model_directory + "mmproj.gguf", .threads = 1});
  ASSERT_TRUE(model) << model.error().message;
  const auto picture = [&](uint8_t shade) {
    const int side = model->Describe().image_size;
    return Picture::FromRgb(side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3), shade));
  };
  constexpr const char* kQuestion = "What is this?";
  auto session = model->NewSession();
  ASSERT_TRUE(session);
  SuiteOptions options;
  options.total = 2;
  const auto answer = session->Ask({picture(200)}, kQuestion, {.max_tokens = options.max_tokens});
  ASSERT_TRUE(answer) << answer.error().message;

  std::vector<SuiteItem> items{{"own", 0, picture(200), kQuestion, answer->text},
                               {"other", 0.5, picture(20), kQuestion, "no such answer"}};
  size_t next = 0;
  const ItemSource source = [&] { return next < items.size() ? std::optional(items[next++]) : std::nullopt; };
  std::vector<bool> seen;
  const auto report =
      RunSuite(*model, source, options,
               [&](const SuiteItem&, const std::string&, bool correct) { seen.push_back(correct); });
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->kinds.size(), 2u);
  EXPECT_EQ(report->kinds[0].correct, 1);
  EXPECT_EQ(report->kinds[1].correct, 0);
  EXPECT_EQ(report->kinds[1].chance, 0.5);
  for (const KindScore& score : report->kinds) {
    EXPECT_EQ(score.total, 1);
    EXPECT_EQ(score.blank_total, 1);
    EXPECT_EQ(score.blank_correct, 0);  // the model sees the difference
  }
  EXPECT_EQ(seen, (std::vector<bool>{true, false}));

  next = 0;
  options.ask_blank = false;
  const auto looking = RunSuite(*model, source, options);
  ASSERT_TRUE(looking);
  EXPECT_EQ(looking->kinds[0].blank_total, 0);

  next = 0;
  const std::atomic<bool> cancelled{true};
  options.cancel = &cancelled;
  EXPECT_FALSE(RunSuite(*model, source, options));
}

}  // namespace
}  // namespace mobilevlm::eval
