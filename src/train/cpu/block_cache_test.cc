// Blocks are used again, never twice at once, and what is kept stays below what was in use.
#include "train/cpu/block_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "base/random.h"

namespace mobilevlm::train {
namespace {

constexpr size_t kMega = size_t{1} << 20;

TEST(BlockCache, SizesAreRoundedByAnEighthAtMost) {
  for (const size_t bytes :
       {size_t{1}, size_t{4096}, size_t{4097}, kMega, kMega + 1, 3 * kMega - 5, 100 * kMega + 7}) {
    const size_t size = BlockCache::RoundedSize(bytes);
    EXPECT_GE(size, bytes);
    EXPECT_LE(size, bytes + std::max(bytes / 8, BlockCache::kAlignment)) << bytes;
    EXPECT_EQ(size % BlockCache::kAlignment, 0u);
  }
}

TEST(BlockCache, WhatWasFreedIsUsedAgain) {
  BlockCache cache;
  void* first = cache.Allocate(3 * kMega);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % BlockCache::kAlignment, 0u);
  std::memset(first, 7, 3 * kMega);
  void* second = cache.Allocate(3 * kMega);
  EXPECT_NE(second, first);
  EXPECT_EQ(cache.used_bytes(), 6 * kMega);
  cache.Free(first);
  EXPECT_EQ(cache.kept_bytes(), 3 * kMega);
  EXPECT_EQ(cache.Allocate(3 * kMega - 100), first);
  EXPECT_EQ(cache.kept_bytes(), 0u);
  cache.Free(first);
  EXPECT_NE(cache.Allocate(2 * kMega), first) << "a third of it would lie idle";
}

// A step's peak is its peak: what is kept makes way for what does not fit it.
TEST(BlockCache, KeptAndUsedStayBelowThePeakOfUse) {
  BlockCache cache;
  std::vector<void*> small;
  for (int i = 0; i < 8; ++i) small.push_back(cache.Allocate(kMega));
  for (void* block : small) cache.Free(block);
  EXPECT_EQ(cache.kept_bytes(), 8 * kMega);
  void* large = cache.Allocate(6 * kMega);
  EXPECT_EQ(cache.used_bytes(), 6 * kMega);
  EXPECT_EQ(cache.kept_bytes(), 2 * kMega);
  EXPECT_EQ(cache.Allocate(kMega), small[6]) << "the longest unused were given back";
  cache.Free(large);

  size_t peak = 8 * kMega;
  Random random(5);
  std::vector<void*> used;
  for (int i = 0; i < 2000; ++i) {
    if (used.size() < 20 && random.Below(2) == 0) {
      used.push_back(cache.Allocate(kMega + random.Below(4 * kMega)));
    } else if (!used.empty()) {
      const size_t at = random.Below(used.size());
      cache.Free(used[at]);
      used.erase(used.begin() + static_cast<ptrdiff_t>(at));
    }
    peak = std::max(peak, cache.used_bytes());
    ASSERT_LE(cache.used_bytes() + cache.kept_bytes(), peak);
  }
}

TEST(BlockCache, NoBlockHasTwoOwners) {
  BlockCache cache;
  std::atomic<bool> clean = true;
  std::vector<std::thread> threads;
  for (unsigned char owner = 1; owner <= 4; ++owner) {
    threads.emplace_back([&cache, &clean, owner] {
      Random random(owner);
      for (int i = 0; i < 200; ++i) {
        const size_t bytes = 64 * 1024 + random.Below(256 * 1024);
        auto* block = static_cast<unsigned char*>(cache.Allocate(bytes));
        std::memset(block, owner, bytes);
        std::this_thread::yield();
        for (size_t k = 0; k < bytes; k += 4096) clean = clean && block[k] == owner;
        cache.Free(block);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(clean);
  EXPECT_EQ(cache.used_bytes(), 0u);
}

TEST(BlockCacheDeath, AStrangePointerIsRefused) {
  BlockCache cache;
  int local = 0;
  EXPECT_DEATH(cache.Free(&local), "not in use");
}

}  // namespace
}  // namespace mobilevlm::train
