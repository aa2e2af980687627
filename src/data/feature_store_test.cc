#include "data/feature_store.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

#include "data/test_support.h"

namespace mobilevlm::data {
namespace {

constexpr size_t kElements = 100;
const Hash128 kTag{1, 2};

std::vector<uint16_t> Record(uint16_t first) {
  std::vector<uint16_t> record(kElements);
  std::iota(record.begin(), record.end(), first);
  return record;
}
Hash128 KeyOf(uint64_t picture) { return FeatureKey(RandomPicture(picture)); }

class FeatureStoreTest : public testing::Test {
 protected:
  FeatureStore Open(const Hash128& tag = kTag) {
    auto store = FeatureStore::Open(directory_.Path("features"), tag, kElements);
    MVLM_CHECK(store.has_value(), "{}", store.error().message);
    return *std::move(store);
  }
  static std::vector<uint16_t> Get(const FeatureStore& store, uint64_t picture) {
    std::vector<uint16_t> halves(kElements);
    if (!store.Get(KeyOf(picture), halves)) halves.clear();
    return halves;
  }
  TemporaryDirectory directory_;
};

TEST_F(FeatureStoreTest, KeepsRecords) {
  {
    FeatureStore store = Open();
    for (uint16_t i = 0; i < 10; ++i) EXPECT_TRUE(store.Put(KeyOf(i), Record(i)).has_value());
    EXPECT_TRUE(store.Put(KeyOf(3), Record(3)).has_value());
    EXPECT_EQ(store.size(), 10u);
    EXPECT_EQ(Get(store, 7), Record(7));
    EXPECT_TRUE(Get(store, 99).empty());
  }
  EXPECT_EQ(Get(Open(), 7), Record(7));
  EXPECT_EQ(Open({3, 4}).size(), 0u);  // another tower
}

TEST_F(FeatureStoreTest, KeyIsWhatTheTowerGets) {
  const Image picture = RandomPicture(1, 20, 20);
  EXPECT_EQ(FeatureKey(picture), FeatureKey(RandomPicture(1, 20, 20)));
  Image changed = picture;
  changed.rgb[5] ^= 1;
  EXPECT_NE(FeatureKey(changed), FeatureKey(picture));
  EXPECT_NE(FeatureKey(Image(10, 20)), FeatureKey(Image(20, 10)));
}

TEST_F(FeatureStoreTest, DamagedRecordsAreNotUsed) {
  {
    FeatureStore store = Open();
    for (uint16_t i = 0; i < 3; ++i) EXPECT_TRUE(store.Put(KeyOf(i), Record(i)).has_value());
  }
  const std::string name = "features/" + ToHex(kTag).substr(0, 16) + "-0";
  std::string records = Slurp(directory_.Path(name + ".f16"));
  records[250] = static_cast<char>(records[250] ^ 1);  // in the second one
  directory_.Write(name + ".f16", records);
  EXPECT_EQ(Get(Open(), 0), Record(0));
  EXPECT_TRUE(Get(Open(), 1).empty());
  {
    FeatureStore store = Open();
    EXPECT_TRUE(Get(store, 1).empty());
    EXPECT_TRUE(store.Put(KeyOf(1), Record(1)).has_value());  // made again
    EXPECT_EQ(Get(store, 1), Record(1));
  }
  // A crash between record and key, or within either.
  const std::string keys = Slurp(directory_.Path(name + ".keys"));
  directory_.Write(name + ".keys", keys.substr(0, keys.size() - 5));
  {
    FeatureStore store = Open();
    EXPECT_EQ(store.size(), 3u);
    EXPECT_TRUE(store.Put(KeyOf(8), Record(8)).has_value());
  }
  EXPECT_EQ(Get(Open(), 8), Record(8));
  EXPECT_EQ(Get(Open(), 0), Record(0));
}

// Also where the damaged one stands in a shard that is read later than the new one's.
TEST_F(FeatureStoreTest, WhatWasMadeInADamagedOnesSteadIsFound) {
  for (const int shard : {0, 1}) {
    const Hash128 tag{5, static_cast<uint64_t>(shard)};
    {
      FeatureStore first = Open(tag), second = Open(tag);
      EXPECT_TRUE((shard == 0 ? first : second).Put(KeyOf(1), Record(1)).has_value());
    }
    const std::string name = fmt::format("features/{}-{}.f16", ToHex(tag).substr(0, 16), shard);
    std::string records = Slurp(directory_.Path(name));
    records[50] = static_cast<char>(records[50] ^ 1);
    directory_.Write(name, records);
    {
      FeatureStore store = Open(tag);
      EXPECT_TRUE(Get(store, 1).empty());
      EXPECT_TRUE(store.Put(KeyOf(1), Record(1)).has_value());
    }
    EXPECT_EQ(Get(Open(tag), 1), Record(1)) << shard;
  }
}

// Two processes at a time write shards of their own and later read both.
TEST_F(FeatureStoreTest, SeveralWriters) {
  {
    FeatureStore first = Open(), second = Open();
    EXPECT_TRUE(first.Put(KeyOf(1), Record(1)).has_value());
    EXPECT_TRUE(second.Put(KeyOf(2), Record(2)).has_value());
  }
  const FeatureStore store = Open();
  EXPECT_EQ(Get(store, 1), Record(1));
  EXPECT_EQ(Get(store, 2), Record(2));
}

TEST_F(FeatureStoreTest, ThreadsShareOne) {
  FeatureStore store = Open();
  std::vector<std::thread> threads;
  for (uint16_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint16_t i = 0; i < 50; ++i) {
        const auto picture = static_cast<uint16_t>(i * 4 + t);
        EXPECT_TRUE(store.Put(KeyOf(picture), Record(picture)).has_value());
        EXPECT_EQ(Get(store, picture), Record(picture));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.size(), 200u);
}

TEST_F(FeatureStoreTest, PlacesThatCannotBeWritten) {
  directory_.Write("file", "");
  EXPECT_FALSE(FeatureStore::Open(directory_.Path("file/below"), kTag, kElements).has_value());
}

}  // namespace
}  // namespace mobilevlm::data
