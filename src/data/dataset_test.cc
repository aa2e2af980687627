#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "data/annotation_index.h"
#include "data/sequence.h"
#include "data/test_support.h"

namespace mobilevlm::data {
namespace {

using ::testing::HasSubstr;

// `count` samples, every fourth without a picture.
std::string Annotations(int count, const std::string& prefix) {
  std::string json = "[\n";
  for (int i = 0; i < count; ++i) {
    const std::string id = fmt::format("{}{}", prefix, i);
    std::string question = "What";
    for (int w = 0; w < i % 7; ++w) question += " now";
    if (i > 0) json += ",\n";
    json += SampleJson(id, i % 4 == 3 ? "" : fmt::format("coco/{}.png", id), question,
                       fmt::format("thing {}", id));
  }
  json += "\n]\n";
  return json;
}

class DatasetTest : public testing::Test {
 protected:
  Result<Dataset> Open(std::vector<AnnotationSource> sources, double limit = 0.01) {
    return Dataset::Open({.sources = std::move(sources), .skip_limit = limit, .open = {.threads = 2}});
  }
  TemporaryDirectory directory_;
};

TEST_F(DatasetTest, ReadsEverySampleOfTheIndex) {
  const std::string path = directory_.Write("a.json", Annotations(10000, "s"));  // several batches
  auto file = AnnotationFile::Open(path, {.threads = 2});
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ASSERT_EQ(file->rows().size(), 10000u);
  SampleReader reader;
  for (size_t i = 0; i < 10000; i += 7) {
    const auto sample = file->Read(i, reader);
    ASSERT_TRUE(sample.has_value()) << sample.error().message;
    EXPECT_EQ(sample->id, fmt::format("s{}", i));
    EXPECT_EQ(file->rows()[i].words, sample->words);
    EXPECT_EQ(file->rows()[i].length() < 0, i % 4 == 3);
  }
  EXPECT_THAT(file->source_names(), testing::ElementsAre("coco", "text only"));
  EXPECT_EQ(file->NameOf(2), path + ": sample 3");
}

// A mixed file's paths lead out of its directory; the source is where they lead.
TEST_F(DatasetTest, SourcesBehindParentDirectories) {
  const std::string path = directory_.Write("a.json", "[" + SampleJson("1", "../coco/1.png", "q", "a") + "," +
                                                          SampleJson("2", "./.././../vg/x/2.png", "q", "a") +
                                                          "," + SampleJson("3", "..hidden/3.png", "q", "a") +
                                                          "," + SampleJson("4", "../4.png", "q", "a") + "]");
  EXPECT_THAT(AnnotationFile::Open(path)->source_names(),
              testing::ElementsAre("coco", "vg", "..hidden", "(no directory)"));
}

TEST_F(DatasetTest, IndexIsMadeOnceAndAgainWhenTheFileChanges) {
  const std::string path = directory_.Write("a.json", Annotations(100, "s"));
  EXPECT_TRUE(AnnotationFile::Open(path)->indexed_now());
  EXPECT_FALSE(AnnotationFile::Open(path)->indexed_now());
  directory_.Write("a.json", Annotations(101, "s"));
  const auto changed = AnnotationFile::Open(path);
  EXPECT_TRUE(changed->indexed_now());
  EXPECT_EQ(changed->rows().size(), 101u);
  // Damage of the index is noticed, wherever it is.
  const std::string index = Slurp(path + ".index");
  for (size_t at = 0; at < index.size(); at += 97) {
    std::string damaged = index;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    directory_.Write("a.json.index", damaged);
    EXPECT_FALSE(OpenIndex(path + ".index", *IdentifyFile(path)).has_value()) << at;
  }
  for (const size_t size : {size_t{0}, size_t{10}, index.size() - 1}) {
    directory_.Write("a.json.index", index.substr(0, size));
    EXPECT_FALSE(OpenIndex(path + ".index", *IdentifyFile(path)).has_value()) << size;
  }
  EXPECT_TRUE(AnnotationFile::Open(path)->indexed_now());
}

TEST_F(DatasetTest, IndexElsewhere) {
  const std::string path = directory_.Write("a.json", Annotations(10, "s"));
  const OpenOptions elsewhere{.cache_directory = directory_.Path("cache")};
  EXPECT_TRUE(AnnotationFile::Open(path, elsewhere)->indexed_now());
  EXPECT_FALSE(AnnotationFile::Open(path, elsewhere)->indexed_now());
  EXPECT_FALSE(std::filesystem::exists(path + ".index"));
}

TEST_F(DatasetTest, MalformedFilesNameFileAndByte) {
  const auto error = [&](const std::string& json) {
    const auto file = AnnotationFile::Open(directory_.Write("bad.json", json));
    EXPECT_FALSE(file.has_value()) << json;
    return file ? "" : file.error().message;
  };
  EXPECT_THAT(error(R"([{"id": "a" "x": 1}])"), HasSubstr("bad.json: byte 14: malformed JSON: "));
  EXPECT_THAT(error(""), HasSubstr("bad.json: byte 0"));
  EXPECT_THAT(error("[]"), HasSubstr("bad.json: there is no sample in it"));
  const std::string good = Annotations(20, "s");
  EXPECT_THAT(error(good.substr(0, good.size() - 10)), HasSubstr("malformed JSON"));
  // Nothing is left behind.
  EXPECT_FALSE(std::filesystem::exists(directory_.Path("bad.json.index")));
  EXPECT_THAT(AnnotationFile::Open(directory_.Path("none.json")).error().message,
              HasSubstr("none.json: cannot open"));
}

TEST_F(DatasetTest, CancelEndsTheIndexing) {
  const std::string path = directory_.Write("a.json", Annotations(100, "s"));
  const std::atomic<bool> cancel = true;
  EXPECT_THAT(AnnotationFile::Open(path, {.cancel = &cancel}).error().message, HasSubstr("stopped"));
  EXPECT_FALSE(std::filesystem::exists(path + ".index"));
}

TEST_F(DatasetTest, WeightsRepeatAndThin) {
  directory_.Write("x/a.json", Annotations(100, "a"));
  directory_.Write("y/b.json", Annotations(50, "b"));
  directory_.Write("z/c.json", Annotations(10, "c"));
  const auto dataset = Open({{directory_.Path("x/a.json"), "", 0.5},
                             {directory_.Path("y/b.json"), "/pictures", 2.2},
                             {directory_.Path("z/c.json"), "", 0}});
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message;
  EXPECT_EQ(dataset->size(), 160u);
  const std::vector<uint32_t> samples = dataset->EpochSamples(1, 0);
  std::map<uint32_t, int> times;
  for (const uint32_t s : samples) ++times[s];
  std::array<int, 3> of_file = {};
  for (const auto& [s, n] : times) {
    const size_t file = dataset->PlaceOf(s).first;
    of_file[file] += n;
    EXPECT_TRUE(file == 0 ? n == 1 : n == 2 || n == 3) << n;
  }
  EXPECT_THAT(of_file, testing::ElementsAre(50, 110, 0));
  EXPECT_EQ(samples, dataset->EpochSamples(1, 0));
  EXPECT_NE(samples, dataset->EpochSamples(1, 1));
  EXPECT_EQ(dataset->PicturePath(0, "coco/p.png"), directory_.Path("x/coco/p.png"));
  EXPECT_EQ(dataset->PicturePath(120, "coco/p.png"), "/pictures/coco/p.png");
  EXPECT_EQ(dataset->PicturePath(120, "/abs/p.png"), "/abs/p.png");
  EXPECT_EQ(dataset->NameOf(101), directory_.Path("y/b.json") + ": sample 2");
  for (int attempt = 0; attempt < 20; ++attempt) {
    const uint32_t other = dataset->Replacement(4, 9, attempt);
    EXPECT_NE(other, 4u);
    EXPECT_EQ(dataset->PlaceOf(other).first, 0u);
    EXPECT_GT(dataset->row(other).length(), 0);
    EXPECT_EQ(other, dataset->Replacement(4, 9, attempt));
  }
}

TEST_F(DatasetTest, DefectsAreLeftOutUpToTheLimit) {
  std::string json = Annotations(99, "s");
  json.insert(json.rfind(']'), R"(,{"id": "odd", "conversations": [{"from": "human", "value": "<image>"}]})");
  const std::string path = directory_.Write("a.json", json);
  const auto dataset = Open({{path}});
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message;
  EXPECT_EQ(dataset->defects(), 1u);
  EXPECT_EQ(dataset->EpochSamples(1, 0).size(), 99u);
  const auto strict = Open({{path}}, 0.001);
  ASSERT_FALSE(strict.has_value());
  EXPECT_THAT(
      strict.error().message,
      HasSubstr("sample 100 (id odd): no answer: question 1 has no answer; 1 of 100 samples cannot be used"));
}

TEST_F(DatasetTest, NothingUsable) {
  const std::string path = directory_.Write("a.json", Annotations(3, "s"));
  EXPECT_THAT(Open({{path, "", 0}}).error().message, HasSubstr("no usable sample"));
  EXPECT_THAT(Open({{path, "", -1}}).error().message, HasSubstr("wanted a weight"));
  EXPECT_THAT(Open({}).error().message, HasSubstr("no usable sample"));
}

TEST(SkipList, EndsWhenTooManyAreSkipped) {
  SkipList skips(0.01, 1'000'000);
  for (uint64_t i = 0; i < 10; ++i) skips.Skip(i, fmt::format("reason {}", i));
  skips.Skip(3, "again");  // counted once
  EXPECT_EQ(skips.counts().skipped, 10u);
  EXPECT_TRUE(skips.Check(skips.counts()).has_value());
  skips.Skip(10, "last");
  const Status status = skips.Check(skips.counts());
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message,
              HasSubstr("11 of 1000 samples cannot be used, more than 1 %; the first: reason 0"));
  skips.Seen(5000);
  EXPECT_TRUE(skips.Check(skips.counts()).has_value());
  EXPECT_EQ(skips.Reasons()[3], "reason 3");

  const SkipList small(0.01, 500);
  EXPECT_TRUE(small.Check({0, 5}).has_value());
  EXPECT_FALSE(small.Check({0, 6}).has_value());
}

// Five of each of eight processes are too many of five hundred together.
TEST(SkipList, CountsThoseOfOtherProcesses) {
  SkipList one(0.01, 500);
  for (uint64_t i = 0; i < 5; ++i) one.Skip(i, "x");
  EXPECT_TRUE(one.Check(one.counts()).has_value());
  EXPECT_THAT(one.Check({500, 40}).error().message, HasSubstr("40 of 500 samples"));
  EXPECT_THAT(SkipList(0.01, 500).Check({500, 40}).error().message, HasSubstr("another process met it"));
}

TEST(SkipList, OneMayBeSkippedUnlessNoneMay) {
  const SkipList tiny(0.01, 20), none(0, 20);
  EXPECT_TRUE(tiny.Check({20, 1}).has_value());
  EXPECT_FALSE(tiny.Check({20, 2}).has_value());
  EXPECT_TRUE(none.Check({20, 0}).has_value());
  EXPECT_FALSE(none.Check({20, 1}).has_value());
}

class SequenceTest : public testing::Test {
 protected:
  static Tokenizer Golden() {
    const std::string bytes =
        Slurp(std::string(MOBILEVLM_SOURCE_DIR) + "/tests/golden/nano-ldpv2/hf/tokenizer.model");
    auto vocab = ParseSentencePieceModel(bytes);
    MVLM_CHECK(vocab.has_value(), "{}", vocab.error().message);
    return *Tokenizer::Create(*std::move(vocab));
  }
  static Sample Make(const std::string& json) {
    SampleParser parser;
    return *parser.Parse(json);
  }
  const Tokenizer tokenizer_ = Golden();
  const Sample sample_ = Make(SampleJson("a", "x.png", "Is it red?", "Yes, two dogs"));
};

TEST_F(SequenceTest, AnswerAndItsEndAreSupervised) {
  const auto sequence = MakeSequence(tokenizer_, sample_, {.visual = 36});
  ASSERT_TRUE(sequence.has_value()) << sequence.error().message;
  std::vector<int> learned, wanted = tokenizer_.Encode("Yes, two dogs");
  wanted.push_back(tokenizer_.eos());
  for (size_t i = 0; i < sequence->ids.size(); ++i) {
    if (sequence->supervised[i]) learned.push_back(sequence->ids[i]);
  }
  EXPECT_EQ(learned, wanted);
  EXPECT_EQ(sequence->supervised_ids, static_cast<int>(wanted.size()));
  const std::string before = std::string(kV1System) + " USER: ";
  ASSERT_EQ(sequence->image_starts.size(), 1u);
  EXPECT_EQ(sequence->image_starts[0], 1 + static_cast<int>(tokenizer_.Encode(before).size()));
}

TEST_F(SequenceTest, PlainSupervisesTheCaption) {
  const auto sequence =
      MakeSequence(tokenizer_, sample_, {.chat_template = ChatTemplate::kPlain, .visual = 4});
  ASSERT_TRUE(sequence.has_value()) << sequence.error().message;
  EXPECT_EQ(sequence->image_starts, std::vector<int>{1});
  // preprocess_plain masks two ids: BOS and the picture.
  EXPECT_EQ(sequence->supervised_ids, static_cast<int>(sequence->ids.size()) - 5);
}

// The cut is before the picture's places open, and a sample without a label is an error.
TEST_F(SequenceTest, CutSequences) {
  const auto whole = MakeSequence(tokenizer_, sample_, {.visual = 36});
  const int tokens = static_cast<int>(whole->ids.size()) - 36 + 1;
  const auto at_limit = MakeSequence(tokenizer_, sample_, {.visual = 36, .max_tokens = tokens});
  EXPECT_EQ(at_limit->ids, whole->ids);
  const auto shorter = MakeSequence(tokenizer_, sample_, {.visual = 36, .max_tokens = tokens - 1});
  EXPECT_EQ(shorter->ids.size() + 1, whole->ids.size());
  const int answers = whole->supervised_ids;
  EXPECT_TRUE(
      MakeSequence(tokenizer_, sample_, {.visual = 36, .max_tokens = tokens - answers + 1}).has_value());
  const auto none = MakeSequence(tokenizer_, sample_, {.visual = 36, .max_tokens = tokens - answers});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("no label is left"));
}

TEST_F(SequenceTest, SeveralPicturesAndDefects) {
  const Sample two = Make(
      R"({"image": ["a", "b"], "conversations": [{"from": "human", "value": "<image> <image> same?"}, {"from": "gpt", "value": "no"}]})");
  const auto sequence = MakeSequence(tokenizer_, two, {.visual = 5});
  ASSERT_TRUE(sequence.has_value()) << sequence.error().message;
  ASSERT_EQ(sequence->image_starts.size(), 2u);
  EXPECT_GE(sequence->image_starts[1], sequence->image_starts[0] + 5);
  const Sample bad = Make(R"({"conversations": [{"from": "human", "value": "hm"}]})");
  EXPECT_THAT(MakeSequence(tokenizer_, bad, {}).error().message, HasSubstr("no answer"));
}

}  // namespace
}  // namespace mobilevlm::data
