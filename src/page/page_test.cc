#include "page/page.h"
#include "page/line_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "page/charts.h"
#include "page/line_chart.h"

namespace mobilevlm::page {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, EscapesWhatCouldBeMarkup) {
  EXPECT_EQ(EscapeHtml("<b a='\"'>&\x01\n"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\n");
  EXPECT_EQ(EscapeHtml("\u00e4\u20ac\U0001F600"), "\u00e4\u20ac\U0001F600");
  EXPECT_EQ(EscapeHtml("a\xFF\xC3"), "a\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml("\xE0\x80\x80"), "\uFFFD\uFFFD\uFFFD");  // overlong
}

TEST(Page, HoldsItsPartsAndNothingFromElsewhere) {
  const auto image = ImageHtml(Image(300, 100), 150, "a <dog>");
  ASSERT_TRUE(image.has_value());
  EXPECT_THAT(*image, HasSubstr("width=\"150\" height=\"50\" alt=\"a &lt;dog&gt;\""));
  const std::string page = PageHtml("A & B", "sub", *image + TableHtml({{"name", "n"}, {"<x>", "1"}}));
  EXPECT_THAT(page, HasSubstr("<title>A &amp; B</title>"));
  EXPECT_THAT(page, HasSubstr("<td>&lt;x&gt;</td><td class=\"n\">1</td>"));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
}

TEST(Page, ShortensByCharacters) {
  EXPECT_EQ(Shorten("\u00e4\u20ac\U0001F600", 3), "\u00e4\u20ac\U0001F600");
  EXPECT_EQ(Shorten("\u00e4\u20ac\U0001F600x", 3), "\u00e4\u20ac\U0001F600\u2026");
  EXPECT_EQ(Shorten("\u20ac\u20ac", 1), "\u20ac\u2026");
}

TEST(Page, Thousands) {
  EXPECT_EQ(Thousands(0), "0");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(Thousands(1000), "1,000");
  EXPECT_EQ(Thousands(2428000), "2,428,000");
}

TEST(Charts, BarsAreAsLongAsTheirNumbers) {
  const std::string html = BarChartHtml(
      {.title = "T", .series = {"a", "b"}, .bars = {{"long", {30, 10}, "40"}, {"short", {10, 0}, "10"}}});
  // The longest bar's parts are three to one, the other one a third of the first part.
  double width[4] = {};
  size_t at = 0;
  for (double& w : width) {
    at = html.find("width=\"", html.find("<rect", at)) + 7;
    w = std::stod(html.substr(at));
  }
  EXPECT_NEAR(width[0], 3 * width[1], 0.3);
  EXPECT_NEAR(width[2], width[1], 0.1);
  EXPECT_EQ(width[3], 0);
  EXPECT_THAT(html, HasSubstr("legend"));
}

TEST(Charts, NothingToShowIsNoCrash) {
  EXPECT_THAT(BarChartHtml({.title = "T", .series = {}, .bars = {}}), HasSubstr("<figure>"));
  EXPECT_THAT(HistogramHtml({.title = "T", .x_label = "x", .bins = {}, .series = {}}), HasSubstr("<figure>"));
}

TEST(LineChart, LeavesOutWhatCannotBeDrawn) {
  LineChart chart{
      "a < b", {{"one", {1, 2, 3}, {1, std::nan(""), 100}}, {"<two>", {1, 2}, {0, 10}}}, true, false};
  const std::string html = LineChartHtml(chart);
  EXPECT_NE(html.find("a &lt; b"), std::string::npos);
  EXPECT_NE(html.find("&lt;two&gt;"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
  EXPECT_NE(html.find("<polyline"), std::string::npos);
  EXPECT_NE(html.find("<circle"), std::string::npos);  // 0 has no logarithm, so one point is left
  EXPECT_EQ(LineChartHtml({"empty", {}, false, false}).find("nan"), std::string::npos);
}

TEST(LineChart, OneStepAndNothingButZerosHavePlainAxes) {
  const std::string html = LineChartHtml({"zeros", {{"one", {12}, {0}}}, false, true});
  for (const std::string number : {">11<", ">12<", ">13<", ">0.2<"}) EXPECT_THAT(html, HasSubstr(number));
  EXPECT_THAT(html, Not(HasSubstr("11.5")));
  EXPECT_THAT(html, Not(HasSubstr("e-")));
}

}  // namespace
}  // namespace mobilevlm::page
