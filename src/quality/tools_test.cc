// Check, statistics and mixes on small sets whose truth is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "quality/check.h"
#include "quality/mix.h"
#include "quality/pages.h"
#include "quality/test_support.h"

namespace mobilevlm::quality {
namespace {

using data::Png;
using data::RandomPicture;
using data::SampleJson;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST_F(ToolsTest, CheckFindsEveryUnusableSample) {
  WritePicture("x/good.png", RandomPicture(1));
  directory_.Write("x/broken.png", Png(RandomPicture(2)).substr(0, 200));
  const data::Dataset dataset = Open(
      "a.json", {SampleJson("good", "x/good.png", "q", "a"), SampleJson("text", "", "q", "a"),
                 SampleJson("gone", "x/gone.png", "q", "a"), SampleJson("broken", "x/broken.png", "q", "a"),
                 SampleJson("mute", "x/good.png", "q", "")});
  const auto report = Check(dataset, {}, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->samples, 5u);
  EXPECT_EQ(report->text_only, 1u);
  EXPECT_EQ(report->pictures.pictures, 1u);
  ASSERT_EQ(report->unusable, 3u);
  EXPECT_THAT(report->findings[0].what, HasSubstr("sample 3 (id gone): "));
  EXPECT_THAT(report->findings[1].what, HasSubstr("sample 4 (id broken): "));
  EXPECT_THAT(report->findings[2].what,
              HasSubstr("sample 5 (id mute): no answer: turn 2 is an empty answer"));
}

// With the wrong directory every picture is missing; that is said at once, not two million times.
TEST_F(ToolsTest, WrongImageRootEndsEarly) {
  std::vector<std::string> samples;
  for (int i = 0; i < 1100; ++i)
    samples.push_back(SampleJson(fmt::format("{}", i), fmt::format("p{}.png", i), "q", "a"));
  const auto report = Check(Open("a.json", samples), {}, work());
  ASSERT_FALSE(report.has_value());
  EXPECT_THAT(report.error().message,
              HasSubstr("p0.png: no such picture; none of the first 1000 pictures can be read"));
}

TEST_F(ToolsTest, CheckMakesLabels) {
  const std::string bytes =
      data::Slurp(std::string(MOBILEVLM_SOURCE_DIR) + "/tests/golden/nano-ldpv2/hf/tokenizer.model");
  const Tokenizer tokenizer = *Tokenizer::Create(*ParseSentencePieceModel(bytes));
  std::string long_question;
  for (int i = 0; i < 200; ++i) long_question += "many words ";
  const data::Dataset dataset =
      Open("a.json", {SampleJson("short", "", "q", "a"), SampleJson("long", "", long_question, "a")});
  CheckOptions options;
  options.pictures = false;
  options.tokenizer = &tokenizer;
  options.sequence.max_tokens = 200;
  const auto report = Check(dataset, options, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->without_labels, 1u);
  ASSERT_EQ(report->unusable, 1u);
  EXPECT_THAT(report->findings[0].what, HasSubstr("sample 2 (id long): no label is left"));
}

TEST_F(ToolsTest, StatisticsCount) {
  WritePicture("coco/1.png", RandomPicture(1));
  std::vector<std::string> samples;
  for (int i = 0; i < 12; ++i) {
    samples.push_back(SampleJson(fmt::format("c{}", i), "coco/1.png", "Is it red?", i < 9 ? "Yes." : "No."));
  }
  for (int i = 0; i < 4; ++i)
    samples.push_back(SampleJson(fmt::format("v{}", i), "vg/1.png", "How many?", fmt::format("{}", i)));
  samples.push_back(SampleJson("t", "", "Tell me a long story.", "once upon a time there was a dog"));
  samples.push_back(SampleJson("bad", "", "q", ""));
  const data::Dataset dataset = Open("a.json", samples);
  const auto statistics = Describe(dataset, {}, work());
  ASSERT_TRUE(statistics.has_value()) << statistics.error().message;
  EXPECT_EQ(statistics->samples, 18u);
  EXPECT_EQ(statistics->defects, 1u);
  EXPECT_EQ(statistics->text_only, 1u);
  EXPECT_EQ(statistics->distinct_questions, 3u);
  EXPECT_EQ(statistics->distinct_answers, 7u);
  ASSERT_EQ(statistics->sources.size(), 3u);
  EXPECT_EQ(statistics->sources[0].name, "coco");
  EXPECT_EQ(statistics->sources[0].samples, 12u);
  EXPECT_EQ(statistics->sources[1].name, "vg");
  ASSERT_EQ(statistics->kinds.size(), 3u);
  EXPECT_EQ(statistics->kinds[0].name, "yes or no");
  ASSERT_EQ(statistics->kinds[0].top_answers.size(), 2u);
  EXPECT_EQ(statistics->kinds[0].top_answers[0].text, "Yes.");
  EXPECT_DOUBLE_EQ(statistics->kinds[0].top_share(), 0.75);
  EXPECT_EQ(statistics->kinds[0].words.median, 5u);  // <image> Is it red? Yes.
  EXPECT_EQ(statistics->source_kinds[0], (std::vector<uint64_t>{12, 0, 0}));
  EXPECT_EQ(statistics->answer_words[0], 16u);
  EXPECT_EQ(statistics->answer_words[3], 1u);  // 8 words

  const auto page = StatisticsPage(dataset, *statistics, "a.json");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_THAT(*page, HasSubstr("data:image/png;base64,"));
  EXPECT_THAT(*page, HasSubstr("vg/1.png: "));  // cannot be read: said, not hidden
  EXPECT_THAT(*page, Not(HasSubstr("http")));
}

TEST_F(ToolsTest, LongAnswersAreCutBetweenCharacters) {
  std::string euros;
  for (int i = 0; i < 50; ++i) euros += "\u20ac";
  const data::Dataset dataset = Open("a.json", {SampleJson("1", "", "q", euros)});
  const auto page = StatisticsPage(dataset, *Describe(dataset, {}, work()), "a.json");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_THAT(*page, HasSubstr("\u20ac\u2026 100.0 %"));
  EXPECT_THAT(*page, Not(HasSubstr("\uFFFD")));
}

class MixTest : public ToolsTest {
 protected:
  // 40 yes-or-no of coco, 20 counts of vg, 10 texts, one unusable.
  data::Dataset Make(double weight = 1) {
    std::vector<std::string> samples;
    for (int i = 0; i < 40; ++i)
      samples.push_back(SampleJson(fmt::format("c{}", i), "coco/1.png", "Is it?", i < 30 ? "yes" : "no"));
    for (int i = 0; i < 20; ++i)
      samples.push_back(SampleJson(fmt::format("v{}", i), "vg/1.png", "How many?", fmt::format("{}", i)));
    for (int i = 0; i < 10; ++i)
      samples.push_back(SampleJson(fmt::format("t{}", i), "", "Tell.", "one two three four five six seven"));
    samples.push_back(SampleJson("bad", "", "q", ""));
    Open("a.json", samples);
    return OpenFiles({{directory_.Path("a.json"), "", weight}});
  }
  MixReport RunMix(const data::Dataset& dataset, const MixOptions& options,
                   const std::string& out = "out.json") {
    const auto report = Mix(dataset, options, directory_.Path(out), work());
    EXPECT_TRUE(report.has_value()) << report.error().message;
    return report ? *report : MixReport{};
  }
};

TEST_F(MixTest, WritesEverythingUsable) {
  const MixReport report = RunMix(Make(), {});
  EXPECT_EQ(report.written, 70u);
  EXPECT_EQ(report.defects, 1u);
  EXPECT_THAT(report.sources, ElementsAre(Pair("coco", 40), Pair("text only", 10), Pair("vg", 20)));
  const nlohmann::json json = ReadJson("out.json");
  ASSERT_EQ(json.size(), 70u);
  std::set<std::string> ids;
  for (const auto& sample : json) ids.insert(sample["id"]);
  EXPECT_EQ(ids.size(), 70u);
  EXPECT_NE(json[0]["id"], "c0");  // shuffled
  RunMix(Make(), {}, "again.json");
  EXPECT_EQ(data::Slurp(directory_.Path("again.json")), data::Slurp(directory_.Path("out.json")));
  RunMix(Make(), {.seed = 2}, "other.json");
  EXPECT_NE(data::Slurp(directory_.Path("other.json")), data::Slurp(directory_.Path("out.json")));
  // And it can be opened again.
  EXPECT_EQ(OpenFiles({{directory_.Path("out.json")}}).size(), 70u);
}

TEST_F(MixTest, WeightsFiltersAndLimits) {
  MixReport report =
      RunMix(Make(), {.source_weights = {{"coco", 0.5}, {"vg", 2}}, .kind_weights = {{"long answer", 0}}});
  EXPECT_NEAR(static_cast<double>(report.sources["coco"]), 20, 9);
  EXPECT_EQ(report.sources["vg"], 40u);
  EXPECT_EQ(report.sources.count("text only"), 0u);
  report = RunMix(Make(3), {.shuffle = false, .limit = 5}, "limited.json");
  EXPECT_EQ(report.written, 5u);
  EXPECT_EQ(ReadJson("limited.json")[3]["id"], "c1");  // each three times, in order
  report = RunMix(Make(), {.most_same_answer = 12}, "capped.json");
  EXPECT_EQ(report.sources["coco"], 12u + 10u);
  EXPECT_EQ(report.by_answer, 18u);
  report = RunMix(Make(), {.least_answer_words = 5}, "long.json");
  EXPECT_EQ(report.written, 10u);
  EXPECT_EQ(report.by_length, 60u);
  report = RunMix(Make(), {.most_words = 6}, "short.json");
  EXPECT_EQ(report.written, 60u);
}

// The limit is of what is written: a source of weight 0 takes none of it, a weight of 2 goes not beyond it.
TEST_F(MixTest, TheLimitOfAnswersCountsWhatIsWritten) {
  std::vector<std::string> samples;
  for (const char* source : {"coco", "vg"}) {
    for (int i = 0; i < 10; ++i)
      samples.push_back(
          SampleJson(fmt::format("{}{}", source, i), fmt::format("{}/1.png", source), "Is it?", "yes"));
  }
  const data::Dataset dataset = Open("a.json", samples);
  MixReport report = RunMix(dataset, {.source_weights = {{"coco", 0}}, .most_same_answer = 8}, "none.json");
  EXPECT_THAT(report.sources, ElementsAre(Pair("vg", 8)));
  EXPECT_EQ(report.by_answer, 2u);
  report = RunMix(dataset, {.source_weights = {{"coco", 2}}, .most_same_answer = 15}, "twice.json");
  EXPECT_THAT(report.sources, ElementsAre(Pair("coco", 15)));
  EXPECT_EQ(report.by_answer, 15u);
  report = RunMix(dataset, {.source_weights = {{"coco", 0.5}}, .most_same_answer = 12}, "half.json");
  EXPECT_EQ(report.written, 12u);
}

TEST_F(MixTest, WrongNamesAreErrors) {
  const auto report = Mix(Make(), {.source_weights = {{"cocoa", 1}}}, directory_.Path("out.json"), work());
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().message, "no source is called 'cocoa'; there are coco, vg, text only");
  EXPECT_THAT(Mix(Make(), {.least_answer_words = 99}, directory_.Path("out.json"), work()).error().message,
              HasSubstr("no sample is left"));
  EXPECT_THAT(Mix(Make(), {}, directory_.Path("a.json"), work()).error().message,
              HasSubstr("wanted a new file"));
  EXPECT_FALSE(std::filesystem::exists(directory_.Path("out.json")));
}

// Files with image roots of their own: the new file finds all pictures from where it stands.
TEST_F(MixTest, PathsAreRewrittenWhereRootsDiffer) {
  Open("one/a.json", {SampleJson("1", "p/x.png", "q", "a")});
  Open(
      "two/b.json",
      {SampleJson("2", "y.png", "q", "a"),
       R"({"id": "3", "image": ["y.png", "/abs/z.png"], "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})"});
  const data::Dataset dataset = OpenFiles(
      {{directory_.Path("one/a.json"), "", 1}, {directory_.Path("two/b.json"), directory_.Path("three"), 1}});
  directory_.Write("out/keep", "");
  // With one root that the user names, paths stay.
  const std::string root = directory_.Path("three");
  RunMix(OpenFiles({{directory_.Path("one/a.json"), root, 1}, {directory_.Path("two/b.json"), root, 1}}),
         {.shuffle = false}, "out/same.json");
  EXPECT_EQ(ReadJson("out/same.json")[0]["image"], "p/x.png");
  RunMix(dataset, {.shuffle = false}, "out/mix.json");
  const nlohmann::json json = ReadJson("out/mix.json");
  EXPECT_EQ(json[0]["image"], "../one/p/x.png");
  EXPECT_EQ(json[1]["image"], "../three/y.png");
  EXPECT_EQ(json[2]["image"][0], "../three/y.png");
  const data::Dataset mixed = OpenFiles({{directory_.Path("out/mix.json")}});
  EXPECT_EQ(std::filesystem::path(mixed.PicturePath(0, "../one/p/x.png")).lexically_normal(),
            std::filesystem::path(directory_.Path("one/p/x.png")));
}

}  // namespace
}  // namespace mobilevlm::quality
