// Duplicates and leaks in small sets whose truth is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/resize_bicubic.h"
#include "quality/duplicates.h"
#include "quality/leaks.h"
#include "quality/pages.h"
#include "quality/test_support.h"

namespace mobilevlm::quality {
namespace {

using data::RandomPicture;
using data::SampleJson;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ToolsTest, DuplicatesOfEveryKind) {
  const std::string story = "a man in a red jacket stands on a snowy slope with two skis in his hands today";
  const Image picture = RandomPicture(1, 200, 150);
  WritePicture("p/a.png", picture);
  WritePicture("p/copy.png", picture);
  WritePicture("p/small.png", ResizeBicubic(picture, 100, 75));
  WritePicture("p/other.png", RandomPicture(2, 200, 150));
  const data::Dataset dataset =
      Open("a.json",
           {SampleJson("0", "p/a.png", "What is it?", story),
            SampleJson("1", "p/copy.png", "what is IT", story + "."),  // same pixels, same words
            SampleJson("2", "p/small.png", "What is it?", story),      // looks the same
            SampleJson("3", "p/other.png", "What is it?", story),  // another picture: stays, answer repeated
            SampleJson("4", "p/a.png", "What is it?", "a cat and a dog"),  // same question, another answer
            SampleJson("5", "p/a.png", "Where is it?", "outside"),
            SampleJson("6", "", "Name two primes.", "2 and 3"),
            SampleJson("7", "", "Name two primes!", "2 and 3."),
            SampleJson("8", "", "Name two primes.", "5 and 7")});
  const auto report = FindDuplicates(dataset, {}, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  using enum Verdict;
  EXPECT_THAT(report->verdicts, ElementsAre(kKept, kExact, kNear, kKept, kKept, kKept, kKept, kExact, kKept));
  EXPECT_EQ(report->same_as[1], 0u);
  EXPECT_EQ(report->same_as[2], 0u);
  EXPECT_EQ(report->same_as[7], 6u);
  EXPECT_EQ(report->exact, 2u);
  EXPECT_EQ(report->near, 1u);
  EXPECT_EQ(report->pictures, 4u);
  EXPECT_EQ(report->same_pictures, 1u);
  EXPECT_EQ(report->near_pictures, 1u);
  EXPECT_EQ(report->conflicts, 1u);
  EXPECT_EQ(report->repeated_answers, 1u);
  ASSERT_EQ(report->repeated_pairs.size(), 1u);
  EXPECT_EQ(report->repeated_pairs[0].second, 3u);

  DuplicateOptions exact;
  exact.near = false;
  EXPECT_EQ(FindDuplicates(dataset, exact, work())->near, 0u);
  // Without pictures the path is the picture: the copy counts as another one.
  DuplicateOptions paths;
  paths.pictures = false;
  const auto by_path = FindDuplicates(dataset, paths, work());
  EXPECT_EQ(by_path->exact, 1u);  // sample 7

  const auto page = DuplicatesPage(dataset, *report, "a.json");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_THAT(*page, HasSubstr("Near duplicates"));
  EXPECT_THAT(*page, HasSubstr("Conflicts"));
}

// What FILE.pictures has of an earlier annotation file of that name is neither counted nor compared.
TEST_F(ToolsTest, DuplicatesAmongThePicturesOfThisRun) {
  WritePicture("p/a.png", RandomPicture(1));
  WritePicture("p/copy.png", RandomPicture(1));
  const std::string a = SampleJson("0", "p/a.png", "q", "x"), copy = SampleJson("1", "p/copy.png", "q", "y");
  EXPECT_EQ(FindDuplicates(Open("a.json", {a, copy}), {}, work())->same_pictures, 1u);
  auto report = FindDuplicates(Open("a.json", {copy}), {}, work());
  EXPECT_EQ(report->pictures, 1u);
  EXPECT_EQ(report->same_pictures, 0u);
  // A picture that is gone is no picture.
  std::filesystem::remove(directory_.Path("p/a.png"));
  report = FindDuplicates(Open("a.json", {a, copy}), {}, work());
  EXPECT_EQ(report->pictures, 1u);
  EXPECT_EQ(report->same_pictures, 0u);
  EXPECT_EQ(report->unread_pictures, 1u);
}

// Pictures are compared a batch of 1,024 at a time; what is found is what comparing all of them finds.
TEST_F(ToolsTest, DuplicatesWithinAndAcrossBatches) {
  constexpr uint32_t kPictures = 700;
  std::vector<PictureHash> hashes;
  std::vector<std::string> samples;
  for (uint32_t p = 0; p < 2 * kPictures; ++p) {
    const Image original = RandomPicture(p % kPictures);
    const Image picture = p < kPictures ? original : ResizeBicubic(original, 64, 48);
    hashes.push_back(HashPicture(picture));
    WritePicture(fmt::format("p/{}.png", p), picture);
    samples.push_back(SampleJson(fmt::format("{}", p), fmt::format("p/{}.png", p), "What is it?", "a dog"));
  }
  std::vector<uint32_t> firsts, wanted;  // of each group; of each picture
  for (uint32_t p = 0; p < hashes.size(); ++p) {
    const auto same = std::find_if(firsts.begin(), firsts.end(),
                                   [&](uint32_t first) { return LookTheSame(hashes[p], hashes[first]); });
    wanted.push_back(same == firsts.end() ? p : *same);
    if (same == firsts.end()) firsts.push_back(p);
  }
  const auto report = FindDuplicates(Open("a.json", samples), {}, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->same_as, wanted);
  EXPECT_EQ(report->near_pictures, 2 * kPictures - firsts.size());
  EXPECT_GT(std::count_if(wanted.begin() + 1024, wanted.end(), [](uint32_t p) { return p < kPictures; }),
            300);
  EXPECT_GT(std::count_if(wanted.begin() + kPictures, wanted.begin() + 1024,
                          [](uint32_t p) { return p < kPictures; }),
            250);
}

TEST_F(ToolsTest, LeaksOfEveryKind) {
  const Image picture = RandomPicture(1, 200, 150);
  WritePicture("train/a.png", picture);
  WritePicture("train/small.png", ResizeBicubic(picture, 100, 75));
  WritePicture("train/clean.png", RandomPicture(5, 200, 150));
  WritePicture("eval/e.png", picture);
  WritePicture("eval/f.png", RandomPicture(6, 200, 150));
  directory_.Write(
      "eval/q.jsonl",
      "{\"question_id\": 1, \"image\": \"e.png\", \"text\": \"What is in the left corner?\"}\n"
      "{\"question_id\": 2, \"image\": \"f.png\", \"text\": \"How many people wear a hat and a green "
      "scarf here?\"}\n");
  const data::Dataset evaluation = OpenFiles({{directory_.Path("eval/q.jsonl")}});
  const data::Dataset training = Open(
      "train/a.json",
      {SampleJson("0", "a.png", "Anything?", "yes"),
       SampleJson("1", "a.png", "what is in the left corner", "a dog"),
       SampleJson("2", "small.png", "Anything?", "yes"),
       SampleJson("3", "clean.png", "What is in the left corner?", "a cat"),  // a phrase that anyone may use
       SampleJson("4", "clean.png", "How many people wear a hat and a green scarf here?", "2"),
       SampleJson("5", "", "Anything?", "yes")});
  const auto report = FindLeaks(training, evaluation, {}, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_THAT(report->leaks, ElementsAre(Leak::kPicture, Leak::kPictureAndQuestion, Leak::kNearPicture,
                                         Leak::kNone, Leak::kText, Leak::kNone));
  EXPECT_EQ(report->pictures(), 3u);
  EXPECT_EQ(report->evaluation_hit, 1u);
  EXPECT_EQ(report->evaluation[4], 1u);
  EXPECT_THAT(report->shown, ElementsAre(1, 0, 2, 4));
  const auto page = LeaksPage(training, evaluation, *report, "a against b");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_THAT(*page, HasSubstr("same picture and question"));

  // By the names of files alone.
  directory_.Write("eval/names.jsonl",
                   R"({"question_id": 1, "image": "elsewhere/small.png", "text": "Anything?"})");
  const data::Dataset names = OpenFiles({{directory_.Path("eval/names.jsonl")}});
  LeakOptions by_name;
  by_name.pictures = false;
  EXPECT_THAT(FindLeaks(training, names, by_name, work())->leaks,
              ElementsAre(Leak::kNone, Leak::kNone, Leak::kPictureAndQuestion, Leak::kNone, Leak::kNone,
                          Leak::kNone));
}

// A picture that is asked about often is met in all of its samples.
TEST_F(ToolsTest, LeaksMeetEverySampleOfAPicture) {
  WritePicture("train/a.png", RandomPicture(1, 200, 150));
  WritePicture("train/b.png", RandomPicture(2, 200, 150));
  WritePicture("eval/e.png", RandomPicture(1, 200, 150));
  WritePicture("eval/f.png", RandomPicture(2, 200, 150));
  WritePicture("eval/g.png", RandomPicture(3, 200, 150));
  std::string questions;
  for (const char* image : {"e.png", "e.png", "f.png", "e.png", "g.png"})
    questions += fmt::format("{{\"image\": \"{}\", \"text\": \"What?\"}}\n", image);
  directory_.Write("eval/q.jsonl", questions);
  const data::Dataset evaluation = OpenFiles({{directory_.Path("eval/q.jsonl")}});
  const auto hit = [&](const std::string& sample) {
    return FindLeaks(Open("train/a.json", {sample}), evaluation, {}, work())->evaluation_hit;
  };
  EXPECT_EQ(hit(SampleJson("0", "a.png", "q", "a")), 3u);
  EXPECT_EQ(
      hit(R"({"image": ["a.png", "b.png"], "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})"),
      4u);
}

// Nothing found among pictures that were not read is not "clean".
TEST_F(ToolsTest, LeaksSayWhichPicturesWereNotCompared) {
  WritePicture("train/a.png", RandomPicture(1));
  directory_.Write(
      "eval/q.jsonl",
      "{\"image\": \"e.png\", \"text\": \"What?\"}\n{\"image\": \"f.png\", \"text\": \"What?\"}\n"
      "{\"text\": \"What?\"}\n");
  const data::Dataset evaluation = OpenFiles({{directory_.Path("eval/q.jsonl")}});
  const data::Dataset training =
      Open("train/a.json", {SampleJson("0", "a.png", "q", "a"), SampleJson("1", "gone.png", "q", "a")});
  auto report = FindLeaks(training, evaluation, {}, work());
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().message, directory_.Path("eval/e.png") +
                                        ": no such picture; no picture of the evaluation can be read: is the "
                                        "directory of its pictures right?");

  WritePicture("eval/f.png", RandomPicture(2));
  report = FindLeaks(training, evaluation, {}, work());
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->evaluation_pictures.pictures, 1u);
  EXPECT_EQ(report->evaluation_pictures.bad_samples, 1u);
  EXPECT_EQ(report->training_pictures.bad_samples, 1u);
  const auto page = LeaksPage(training, evaluation, *report, "a against b");
  ASSERT_TRUE(page.has_value()) << page.error().message;
  EXPECT_THAT(*page,
              HasSubstr("1 evaluation samples with a picture that cannot be read and was not compared: " +
                        directory_.Path("eval/e.png")));
  EXPECT_THAT(*page, HasSubstr("1 training samples with a picture that cannot be read"));

  LeakOptions by_name;
  by_name.pictures = false;
  std::filesystem::remove(directory_.Path("eval/f.png"));
  EXPECT_TRUE(FindLeaks(training, evaluation, by_name, work()).has_value());
  // An evaluation of text alone has no pictures to read.
  directory_.Write("eval/text.jsonl", "{\"text\": \"What?\"}\n");
  EXPECT_TRUE(FindLeaks(training, OpenFiles({{directory_.Path("eval/text.jsonl")}}), {}, work()).has_value());
}

}  // namespace
}  // namespace mobilevlm::quality
