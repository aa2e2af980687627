// Every worked case of tests/golden/scoring_cases.jsonl, and what they leave out.
#include <gtest/gtest.h>

#include <set>

#include "eval/json_row.h"
#include "eval/metrics/labels.h"
#include "eval/metrics/letter_case.h"
#include "eval/metrics/python_text.h"
#include "eval/metrics/set_metrics.h"
#include "eval/metrics/string_metrics.h"
#include "eval/metrics/vqa.h"
#include "eval/score_case.h"

namespace mobilevlm::eval {
namespace {

TEST(ScoringCases, EveryCaseTo1e9) {
  const auto cases = JsonDocument::ReadLines(MOBILEVLM_SOURCE_DIR "/tests/golden/scoring_cases.jsonl");
  ASSERT_TRUE(cases) << cases.error().message;
  std::set<std::string> seen;
  for (const JsonRow& line : cases->lines()) {
    const std::string metric = *line.String("metric");
    const auto score = ScoreCase(metric, line);
    ASSERT_TRUE(score) << score.error().message;
    EXPECT_NEAR(*score, *line.At("expected")->AsNumber(), 1e-9) << line.where() << " " << *line.String("why");
    seen.insert(metric);
  }
  EXPECT_EQ(cases->lines().size(), 244u);
  EXPECT_EQ(seen.size(), 40u);
}

TEST(ScoringCases, VqaNormalisesAsTheyDo) {
  const auto cases = JsonDocument::ReadLines(MOBILEVLM_SOURCE_DIR "/tests/golden/scoring_cases.jsonl");
  ASSERT_TRUE(cases) << cases.error().message;
  int checked = 0;
  for (const JsonRow& line : cases->lines()) {
    const auto wanted = line.At("extra")->String("norm_prediction");
    if (!wanted) continue;
    const VqaVariant variant =
        *line.String("metric") == "textvqa_m4c" ? VqaVariant::kM4c : VqaVariant::kOfficial;
    EXPECT_EQ(VqaNormalise(*line.String("prediction"), *line.Strings("references"), variant), *wanted)
        << line.where();
    ++checked;
  }
  EXPECT_GT(checked, 30);
}

TEST(ScoreCase, RefusalsNameTheLine) {
  const auto file = JsonDocument::Parse(R"({"prediction": "x", "references": []})", "in.jsonl:3");
  ASSERT_TRUE(file);
  EXPECT_NE(ScoreCase("gqa_em", file->root()).error().message.find("in.jsonl:3"), std::string::npos);
  EXPECT_NE(ScoreCase("sqa_parse", file->root()).error().message.find("\"extra\" is missing"),
            std::string::npos);
  EXPECT_NE(ScoreCase("nonsense", file->root()).error().message.find("pope_label"), std::string::npos);
}

// The checksum of chr(c).lower() over all code points from U+0080 on, made with Python 3.11.
TEST(PythonText, LowersAllOfUnicode) {
  uint64_t hash = 0;
  for (char32_t c = 0x80; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::u32string lower = c == 0x3A3 ? U"\u03C3" : CodePoints(Lower(ToUtf8(std::u32string(1, c))));
    for (const char32_t l : lower) hash = hash * 1000003 + l;
  }
  EXPECT_EQ(hash, 5547113603030370171u);
  EXPECT_EQ(Lower("\u039F\u0394\u039F\u03A3 \u03A3"), "\u03BF\u03B4\u03BF\u03C2 \u03C3");
  EXPECT_EQ(Capitalize("WHAT is \u00C9T\u00C9?"), "What is \u00E9t\u00E9?");
  EXPECT_EQ(Capitalize("\u00E9T\u00C9"), "\u00C9t\u00E9");
}

TEST(PythonText, BlanksAndBrokenBytes) {
  EXPECT_EQ(Strip("\u00A0\u3000 a b\x1f\n"), "a b");
  EXPECT_EQ(SplitWords(" a\u2003b \t c").size(), 3u);
  EXPECT_EQ(CodePoints("a\xff\xc3").size(), 3u);
  EXPECT_EQ(ToUtf8(CodePoints("\u00E9\u20AC\U0001F600")), "\u00E9\u20AC\U0001F600");
}

TEST(PythonText, FloatsAsPythonReadsThem) {
  EXPECT_EQ(ParseFloat(" 1e3 "), 1000);
  EXPECT_EQ(ParseFloat("1_000.5"), 1000.5);
  EXPECT_EQ(ParseFloat(".5"), 0.5);
  EXPECT_EQ(ParseFloat("5."), 5);
  EXPECT_EQ(ParseFloat("-Infinity"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(ParseFloat("1e999"), std::numeric_limits<double>::infinity());
  for (const char* text : {"", ".", "1,000", "$5", "0x10", "1__0", "_1", "1_", "1e", "nan(1)", "5 6", "e5"}) {
    EXPECT_FALSE(ParseFloat(text)) << text;
  }
}

TEST(VqaScore, FewerThanTenAnswers) {
  const std::vector<std::string> one{"cat"};
  EXPECT_EQ(VqaScore("cat", one, VqaVariant::kM4c), 0);  // nobody else says so
  const std::vector<std::string> five{"cat", "cat", "cat", "cat", "dog"};
  EXPECT_NEAR(VqaScore("cat", five, VqaVariant::kM4c), 1, 1e-12);
  EXPECT_EQ(VqaScore("cat", {}, VqaVariant::kM4c), 0);
}

TEST(ChartQa, YearsMustBeMetOnlyInTheStricterVariant) {
  EXPECT_TRUE(RelaxedMatch("2012", "2010"));
  EXPECT_FALSE(RelaxedMatchYearExact("2012", "2010"));
  EXPECT_TRUE(RelaxedMatchYearExact("2010", "2010"));
  EXPECT_TRUE(RelaxedMatchYearExact("105", "100"));
}

TEST(Binary, NothingIsZero) {
  const BinaryCounts none;
  EXPECT_EQ(none.f1() + none.accuracy() + none.yes_ratio() + MmeScore({}) + VlcItc({}, 2000), 0);
}

}  // namespace
}  // namespace mobilevlm::eval
