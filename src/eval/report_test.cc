// Which rows stand in a report's table of published results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/report/run_summary.h"
#include "eval/sheet_json.h"

namespace mobilevlm::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report TextVqaReport(std::vector<std::string> deviations) {
  Report report;
  report.title = "TextVQA";
  report.sheet.task = "textvqa";
  report.sheet.figures = {{.name = "TextVQA accuracy", .value = 52.1, .count = 3, .interval = {}}};
  report.sheet.deviations = std::move(deviations);
  report.run.model = "mine";
  return report;
}

TEST(Published, ARunOfTheProtocolStandsBesideThem) {
  const Report report = TextVqaReport({});
  for (const std::string& text : {ToMarkdown(report), ToHtml(report)}) {
    EXPECT_THAT(text, HasSubstr("Beside published results (VQA-T)"));
    EXPECT_THAT(text, HasSubstr("this run, 3 questions"));
    EXPECT_THAT(text, Not(HasSubstr("differs from the published protocol")));
  }
}

TEST(Published, AnotherProtocolIsLeftOutAndSaysWhy) {
  const Report report = TextVqaReport({"asked without OCR tokens", "split train"});
  for (const std::string& text : {ToMarkdown(report), ToHtml(report)}) {
    EXPECT_THAT(text, HasSubstr("published protocol: asked without OCR tokens; split train."));
    EXPECT_THAT(text, Not(HasSubstr("this run, 3 questions")));
    EXPECT_THAT(text, Not(HasSubstr("Beside")));
    EXPECT_THAT(text, HasSubstr("MobileVLM V2 1.7B"));  // the others stay
  }
  EXPECT_EQ(nlohmann::json::parse(SheetToJson(report.sheet)).at("deviations"),
            nlohmann::json({"asked without OCR tokens", "split train"}));
}

}  // namespace
}  // namespace mobilevlm::eval
