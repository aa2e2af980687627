#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <bit>
#include <set>

#include "data/test_support.h"
#include "image/resize_bicubic.h"
#include "quality/flat_table.h"
#include "quality/hamming_index.h"
#include "quality/picture_catalog.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {
namespace {

using data::Png;
using data::RandomPicture;
using data::SampleJson;
using ::testing::HasSubstr;

TEST(TextHash, Normalise) {
  EXPECT_EQ(NormaliseText("  It's\n A <image>CAT. "), "it s a cat");
  EXPECT_EQ(NormaliseText("<image>"), "");
  EXPECT_EQ(NormaliseText("\u00c4rger, 3.5"), "\u00c4rger 3 5");
}

TEST(TextHash, SimilarTextsAreNear) {
  const std::string a = NormaliseText(
      "A man in a red jacket is standing on a snowy slope with two skis in his hands while a dog runs past "
      "him.");
  const std::string b = NormaliseText(
      "A man in a red jacket is standing on a snowy slope with two skis in his hands while a cat runs past "
      "him.");
  const std::string c = NormaliseText(
      "The kitchen has white cabinets, a large steel refrigerator and a wooden table with four chairs around "
      "it.");
  const auto distance = [](const std::string& x, const std::string& y) {
    return std::popcount(SimilarityHash(x) ^ SimilarityHash(y));
  };
  EXPECT_EQ(distance(a, a), 0);
  EXPECT_LE(distance(a, b), 10);
  EXPECT_GE(distance(a, c), 16);
}

TEST(FlatTable, BehavesLikeAMap) {
  Random random(1);
  FlatTable table;
  std::map<uint64_t, uint32_t> wanted;
  for (uint32_t i = 0; i < 20000; ++i) {
    // The top bit is the table's own.
    const uint64_t key = random.Below(30000) * 0x9E3779B97F4A7C15ull & ~(uint64_t{1} << 63);
    uint32_t& value = table.At(key, i);
    const auto [it, added] = wanted.try_emplace(key, i);
    ASSERT_EQ(value, it->second);
    if (random.Chance(0.1)) value = it->second = i;
  }
  EXPECT_EQ(table.size(), wanted.size());
  for (const auto& [key, value] : wanted) ASSERT_EQ(table.Find(key), value);
  EXPECT_EQ(table.Find(~uint64_t{0} >> 1), FlatTable::kNone);
}

// Every search finds exactly what comparing with all of them finds.
TEST(HammingIndex, FindsWhatComparingAllFinds) {
  for (const int distance : {0, 1, 3, 4, 6, 7, 8, 11}) {
    Random random(static_cast<uint64_t>(distance) + 1);
    std::vector<uint64_t> hashes;
    for (int i = 0; i < 2000; ++i) {
      uint64_t hash = i % 3 == 0 || hashes.empty() ? random.Next() : hashes[random.Below(hashes.size())];
      const int flips = random.Between(0, distance + 2);
      for (int f = 0; f < flips; ++f) hash ^= uint64_t{1} << random.Below(64);
      hashes.push_back(hash);
    }
    HammingIndex index(distance);
    for (const uint64_t hash : hashes) index.Add(hash);
    size_t pairs = 0;
    for (size_t i = 0; i < hashes.size(); i += 7) {
      std::set<uint32_t> found, wanted;
      index.ForEachNear(hashes[i], [&](uint32_t number) { found.insert(number); });
      for (uint32_t j = 0; j < hashes.size(); ++j) {
        if (std::popcount(hashes[i] ^ hashes[j]) <= distance) wanted.insert(j);
      }
      ASSERT_EQ(found, wanted) << distance;
      pairs += wanted.size() - 1;
    }
    EXPECT_GT(pairs, 50u) << "nothing was there to be found";
  }
}

Image Changed(const Image& picture, const std::function<int(int value, size_t i)>& change) {
  Image changed = picture;
  for (size_t i = 0; i < changed.rgb.size(); ++i) {
    changed.rgb[i] = static_cast<uint8_t>(std::clamp(change(changed.rgb[i], i), 0, 255));
  }
  return changed;
}

TEST(PictureHash, RecognisesThePictureSavedAnew) {
  int smaller = 0, larger = 0, brighter = 0, noisy = 0;
  constexpr int kPictures = 100;
  for (uint64_t seed = 0; seed < kPictures; ++seed) {
    const Image picture = RandomPicture(seed, 200, 150);
    const PictureHash hash = HashPicture(picture);
    EXPECT_EQ(HashPicture(picture).content, hash.content);
    smaller += LookTheSame(hash, HashPicture(ResizeBicubic(picture, 100, 75)));
    larger += LookTheSame(hash, HashPicture(ResizeBicubic(picture, 333, 250)));
    brighter += LookTheSame(hash, HashPicture(Changed(picture, [](int v, size_t) { return v + 8; })));
    Random random(seed);
    noisy += LookTheSame(
        hash, HashPicture(Changed(picture, [&](int v, size_t) { return v + random.Between(-6, 6); })));
  }
  EXPECT_GE(smaller, kPictures - 1);
  EXPECT_GE(larger, kPictures - 1);
  EXPECT_GE(brighter, kPictures - 1);
  EXPECT_GE(noisy, kPictures - 1);
}

TEST(PictureHash, TellsPicturesApart) {
  std::vector<PictureHash> hashes;
  for (uint64_t seed = 0; seed < 400; ++seed) hashes.push_back(HashPicture(RandomPicture(seed, 200, 150)));
  size_t confused = 0;
  for (size_t i = 0; i < hashes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) confused += LookTheSame(hashes[i], hashes[j]);
  }
  EXPECT_LE(confused, 1u);  // of 79,800 pairs
  // A picture is not its mirror image, and flat pictures of one colour are the same only to the pixel.
  const Image picture = RandomPicture(3, 200, 150);
  Image mirrored(200, 150);
  for (int y = 0; y < 150; ++y) {
    for (int x = 0; x < 200; ++x) std::copy_n(picture.at(199 - x, y), 3, mirrored.at(x, y));
  }
  EXPECT_FALSE(LookTheSame(HashPicture(picture), HashPicture(mirrored)));
  const PictureHash small = HashPicture(Image(10, 10)), large = HashPicture(Image(20, 20));
  EXPECT_FALSE(LookTheSame(small, large));
  EXPECT_TRUE(LookTheSame(small, small));
}

class CatalogTest : public testing::Test {
 protected:
  data::Dataset Open() {
    std::string json = "[";
    for (int i = 0; i < 6; ++i) {
      if (i > 0) json += ",";
      json += SampleJson(fmt::format("s{}", i), fmt::format("p{}.png", i / 2), "q", "a");
    }
    json += ",";
    json += SampleJson("t", "", "q", "a");
    auto dataset = data::Dataset::Open({.sources = {{directory_.Write("a.json", json + "]")}}});
    MVLM_CHECK(dataset.has_value(), "{}", dataset.error().message);
    return *std::move(dataset);
  }
  CatalogReport Fill(const data::Dataset& dataset) {
    CatalogReport report;
    catalog_ = PictureCatalog();
    const Status status = catalog_.Fill(dataset, {pool_}, report);
    EXPECT_TRUE(status.has_value()) << status.error().message;
    return report;
  }

  data::TemporaryDirectory directory_;
  ThreadPool pool_{2};
  PictureCatalog catalog_;
};

TEST_F(CatalogTest, ReadsEveryPictureOnce) {
  directory_.Write("p0.png", Png(RandomPicture(0)));
  directory_.Write("p1.png", "not a picture");
  const data::Dataset dataset = Open();
  CatalogReport report = Fill(dataset);
  EXPECT_EQ(report.pictures, 1u);
  EXPECT_EQ(report.hashed, 1u);
  EXPECT_EQ(report.missing, 2u);  // samples that name p2.png
  EXPECT_EQ(report.broken, 2u);
  EXPECT_EQ(report.bad_samples, 4u);
  EXPECT_EQ(report.bad[0].sample, 2u);
  EXPECT_THAT(report.bad[0].reason, HasSubstr("p1.png: "));
  EXPECT_THAT(report.bad[3].reason, HasSubstr("p2.png: no such picture"));
  // What was bad is looked at again, what was fine is known.
  directory_.Write("p2.png", Png(RandomPicture(2)));
  report = Fill(dataset);
  EXPECT_EQ(report.pictures, 2u);
  EXPECT_EQ(report.hashed, 1u);
  ASSERT_NE(catalog_.Find(directory_.Path("p2.png")), FlatTable::kNone);
  EXPECT_EQ(catalog_.hash(catalog_.Find(directory_.Path("p2.png"))).content,
            HashPicture(RandomPicture(2)).content);
  EXPECT_EQ(catalog_.Find(directory_.Path("p1.png")), FlatTable::kNone);
  // A picture that changed is read again.
  directory_.Write("p0.png", Png(RandomPicture(7, 120, 60)));
  EXPECT_EQ(Fill(dataset).hashed, 1u);
  EXPECT_EQ(catalog_.hash(catalog_.Find(directory_.Path("p0.png"))).content,
            HashPicture(RandomPicture(7, 120, 60)).content);
  EXPECT_EQ(Fill(dataset).hashed, 0u);
}

// A crash may leave half a record; it costs that record only.
TEST_F(CatalogTest, HalfWrittenRecordsAreReadAgain) {
  for (int i = 0; i < 3; ++i)
    directory_.Write(fmt::format("p{}.png", i), Png(RandomPicture(static_cast<uint64_t>(i))));
  const data::Dataset dataset = Open();
  EXPECT_EQ(Fill(dataset).hashed, 3u);
  const std::string log = data::Slurp(directory_.Path("a.json.pictures"));
  directory_.Write("a.json.pictures", log.substr(0, log.size() - 30));
  EXPECT_EQ(Fill(dataset).hashed, 1u);
  EXPECT_EQ(data::Slurp(directory_.Path("a.json.pictures")).size(), log.size());
  EXPECT_EQ(Fill(dataset).hashed, 0u);
}

// What an earlier run knew is no picture of this one.
TEST_F(CatalogTest, PicturesThatAreGoneAreNotFound) {
  for (int i = 0; i < 3; ++i)
    directory_.Write(fmt::format("p{}.png", i), Png(RandomPicture(static_cast<uint64_t>(i))));
  const data::Dataset dataset = Open();
  EXPECT_EQ(Fill(dataset).pictures, 3u);
  std::filesystem::remove(directory_.Path("p1.png"));
  directory_.Write("p2.png", "not a picture");
  EXPECT_EQ(Fill(dataset).pictures, 1u);
  EXPECT_NE(catalog_.Find(directory_.Path("p0.png")), FlatTable::kNone);
  EXPECT_EQ(catalog_.Find(directory_.Path("p1.png")), FlatTable::kNone);
  EXPECT_EQ(catalog_.Find(directory_.Path("p2.png")), FlatTable::kNone);
}

TEST_F(CatalogTest, OnePictureHoweverItsPathIsWritten) {
  for (int i = 0; i < 3; ++i)
    directory_.Write(fmt::format("p{}.png", i), Png(RandomPicture(static_cast<uint64_t>(i))));
  EXPECT_EQ(Fill(Open()).hashed, 3u);
  const std::string relative = std::filesystem::relative(directory_.Path("a.json")).string();
  for (const data::AnnotationSource& source :
       {data::AnnotationSource{relative}, data::AnnotationSource{directory_.Path("./a.json")},
        data::AnnotationSource{directory_.Path("a.json"), directory_.Path(".")},
        data::AnnotationSource{relative, directory_.Path()}}) {
    const auto dataset = data::Dataset::Open({.sources = {source}});
    ASSERT_TRUE(dataset.has_value()) << dataset.error().message;
    const CatalogReport report = Fill(*dataset);
    EXPECT_EQ(report.hashed, 0u) << source.annotations << " " << source.image_root;
    EXPECT_EQ(report.pictures, 3u);
  }
}

TEST_F(CatalogTest, ABadPictureHidesNoOtherOfItsSample) {
  directory_.Write("p1.png", Png(RandomPicture(1)));
  directory_.Write(
      "a.json",
      R"([{"image": ["p0.png", "p1.png"], "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}])");
  const CatalogReport report = Fill(*data::Dataset::Open({.sources = {{directory_.Path("a.json")}}}));
  EXPECT_EQ(report.bad_samples, 1u);
  EXPECT_THAT(report.bad[0].reason, HasSubstr("p0.png: no such picture"));
  EXPECT_NE(catalog_.Find(directory_.Path("p1.png")), FlatTable::kNone);
}

// The record that another process is writing is not cut off, and nothing is put behind it.
TEST_F(CatalogTest, AFileThatAnotherProcessWritesIsOnlyRead) {
  for (int i = 0; i < 2; ++i)
    directory_.Write(fmt::format("p{}.png", i), Png(RandomPicture(static_cast<uint64_t>(i))));
  const data::Dataset dataset = Open();
  EXPECT_EQ(Fill(dataset).hashed, 2u);
  const std::string path = directory_.Path("a.json.pictures");
  const std::string torn = data::Slurp(path) + "half a record";
  directory_.Write("a.json.pictures", torn);
  directory_.Write("p2.png", Png(RandomPicture(2)));
  const int other = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  const CatalogReport report = Fill(dataset);
  EXPECT_EQ(report.pictures, 3u);
  EXPECT_EQ(report.hashed, 1u);
  EXPECT_EQ(data::Slurp(path), torn);
  ::close(other);
  EXPECT_EQ(Fill(dataset).hashed, 1u);
  EXPECT_EQ(Fill(dataset).hashed, 0u);
}

TEST_F(CatalogTest, CancelEndsABatchAtOnce) {
  const data::Dataset dataset = Open();
  ThreadPool one(1);
  std::atomic<bool> cancel = false;
  int looked = 0, taken = 0;
  const auto look = [&](uint32_t, const data::Sample&, size_t) {
    cancel = true;
    return ++looked;
  };
  const auto take = [&](uint32_t, int) {
    ++taken;
    return Status();
  };
  EXPECT_FALSE(ScanSamples<int>(dataset, {one, false, &cancel}, "looking", look, take).has_value());
  EXPECT_EQ(looked, 1);
  EXPECT_EQ(taken, 0);
}

TEST_F(CatalogTest, BatchesAreAsLargeAsWanted) {
  std::atomic<int> looked = 0;
  const auto look = [&](uint32_t, const data::Sample&, size_t) { return ++looked; };
  std::vector<int> looked_before;  // [samples]
  const auto take = [&](uint32_t, int) {
    looked_before.push_back(looked);
    return Status();
  };
  EXPECT_TRUE(ScanSamples<int>(Open(), {pool_}, "looking", look, take, 3).has_value());
  EXPECT_THAT(looked_before, testing::ElementsAre(3, 3, 3, 6, 6, 6, 7));
}

TEST_F(CatalogTest, CancelEndsALoop) {
  std::atomic<bool> cancel = false;
  uint64_t steps = 0;
  const Status status = ForEach({pool_, false, &cancel}, "writing", 1'000'000, [&](uint64_t i) {
    EXPECT_EQ(i, steps++);
    cancel = true;
    return Status();
  });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "stopped while writing");
  EXPECT_LT(steps, 10'000u);
}

TEST_F(CatalogTest, CancelKeepsWhatWasDone) {
  const data::Dataset dataset = Open();
  const std::atomic<bool> cancel = true;
  CatalogReport report;
  const Status status = catalog_.Fill(dataset, {pool_, false, &cancel}, report);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("stopped while reading pictures"));
}

}  // namespace
}  // namespace mobilevlm::quality
