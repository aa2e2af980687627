#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/checked_math.h"
#include "base/content_hash.h"
#include "base/fair_mutex.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/read_file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/units.h"

namespace mobilevlm {
namespace {

std::string TemporaryPath(const std::string& name) {
  return (std::filesystem::path(::testing::TempDir()) / name).string();
}

TEST(CheckedMath, OverflowIsAnAnswer) {
  EXPECT_EQ(CheckedMul(1u << 20, 1u << 20), uint64_t{1} << 40);
  EXPECT_EQ(CheckedMul(uint64_t{1} << 40, uint64_t{1} << 40), std::nullopt);
  EXPECT_EQ(CheckedAdd(~uint64_t{0}, 1), std::nullopt);
  EXPECT_EQ(CheckedAlign(33, 32), 64u);
  EXPECT_EQ(CheckedAlign(64, 32), 64u);
  EXPECT_EQ(CheckedAlign(~uint64_t{0}, 32), std::nullopt);
  EXPECT_TRUE(RangeFits(4, 4, 8));
  EXPECT_FALSE(RangeFits(5, 4, 8));
  EXPECT_FALSE(RangeFits(~uint64_t{0}, 2, 8));
}

TEST(ThreadPool, EveryItemOnceWhateverTheThreadCount) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const size_t n : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> hits(n);
      for (int repeat = 0; repeat < 50; ++repeat) pool.ParallelFor(n, [&](size_t i) { hits[i]++; });
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(hits[i], 50) << "item " << i << " of " << n;
    }
  }
}

TEST(ThreadPool, NoTwoItemsRunAsTheSameThread) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> running(3);
  std::atomic<int> clashes{0};
  pool.ParallelFor(2000, [&](size_t, size_t thread) {
    if (running.at(thread)++ != 0) clashes++;
    running[thread]--;
  });
  EXPECT_EQ(clashes, 0);
}

// An item that will not end keeps its thread; the others must take the rest of that thread's share.
TEST(ThreadPool, IdleThreadsTakeTheSharesOfBusyOnes) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  pool.ParallelFor(10, [&](size_t i) {
    if (i == 0) {
      while (done < 9) std::this_thread::yield();
    }
    done++;
  });
  EXPECT_EQ(done, 10);
}

TEST(ThreadPool, ScratchGrowsAndIsAligned) {
  ThreadPool pool(1);
  std::byte* small = pool.Scratch(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 64, 0u);
  EXPECT_EQ(pool.Scratch(60), small);
  std::byte* large = pool.Scratch(1 << 20);
  std::memset(large, 1, 1 << 20);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large) % 64, 0u);
}

TEST(FairMutex, WhoUnlocksComesAfterWhoWaits) {
  for (int round = 0; round < 3; ++round) {
    FairMutex mutex;
    std::vector<char> order;
    mutex.lock();
    std::thread other([&] {
      const std::lock_guard lock(mutex);
      order.push_back('b');
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // it waits by now
    order.push_back('a');
    mutex.unlock();
    mutex.lock();
    order.push_back('a');
    mutex.unlock();
    other.join();
    EXPECT_EQ(std::string(order.begin(), order.end()), "aba");
  }
}

TEST(AtomicFile, TargetAppearsOnlyOnCommit) {
  const std::string path = TemporaryPath("mobilevlm_atomic");
  std::filesystem::remove(path);
  {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->Write("half"));
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(WriteFileAtomically(path, "whole"));
  EXPECT_EQ(ReadFile(path, 100).value(), "whole");
  std::filesystem::remove(path);
}

TEST(Files, MissingEmptyAndDirectory) {
  EXPECT_FALSE(MappedFile::Open(TemporaryPath("no_such_file")));
  EXPECT_FALSE(MappedFile::Open(::testing::TempDir()));
  EXPECT_FALSE(ReadFile(::testing::TempDir(), 10));
  const std::string path = TemporaryPath("mobilevlm_empty");
  ASSERT_TRUE(WriteFileAtomically(path, ""));
  auto mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped);
  EXPECT_TRUE(mapped->bytes().empty());
  ASSERT_TRUE(WriteFileAtomically(path, "0123456789a"));
  EXPECT_FALSE(ReadFile(path, 10));
  std::filesystem::remove(path);
}

TEST(Units, DurationsReadWell) {
  EXPECT_EQ(FormatDuration(0.4), "0 s");
  EXPECT_EQ(FormatDuration(200), "3 min 20 s");
  EXPECT_EQ(FormatDuration(7500), "2 h 5 min");
}

TEST(Units, BytesReadWell) {
  EXPECT_EQ(FormatBytes(512), "512 bytes");
  EXPECT_EQ(FormatBytes(37 << 10), "37 KiB");
  EXPECT_EQ(FormatBytes(37 << 20), "37 MiB");
  EXPECT_EQ(FormatBytes(uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(FormatBytes(uint64_t{3} << 40), "3.0 TiB");
}

TEST(Random, StreamIsFixed) {
  // The first outputs of SplitMix64 for seed 1234567, as published with the reference code.
  Random random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317ull);
  EXPECT_EQ(random.Next(), 3203168211198807973ull);
  Random ranged(1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LT(ranged.Below(7), 7u);
    const int value = ranged.Between(-2, 2);
    EXPECT_GE(value, -2);
    EXPECT_LE(value, 2);
  }
}

Result<int> Half(int value) {
  if (value % 2 != 0) return Fail("wanted an even number, found {}", value);
  return value / 2;
}

Result<int> Quarter(int value) {
  MVLM_ASSIGN(const int half, Half(value));
  return Half(half);
}

TEST(Result, ErrorsPassThroughWithContext) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).error().message, "wanted an even number, found 3");
  const Status wrapped = Context(Quarter(6).error(), "loading {}", "x");
  EXPECT_EQ(wrapped.error().message, "loading x: wanted an even number, found 3");
}

// The published value of XXH3's 128 bits for no input, and what equality means.
TEST(ContentHash, KnownValueAndSensitivity) {
  EXPECT_EQ(ToHex(HashBytes("", 0)), "99aa06d3014798d86001c324468d497f");
  std::string text(1000, 'a');
  const Hash128 hash = HashBytes(text.data(), text.size());
  const std::string copy = text;
  EXPECT_EQ(hash, HashBytes(copy.data(), copy.size()));
  EXPECT_NE(hash, HashBytes(text.data(), text.size() - 1));
  text[500] ^= 1;
  EXPECT_NE(hash, HashBytes(text.data(), text.size()));
}

}  // namespace
}  // namespace mobilevlm
