#include "serve/connection_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>

namespace mobilevlm::serve {
namespace {

using std::chrono::milliseconds;

void WaitUntil(const std::function<bool()>& condition) {
  for (int i = 0; i < 20'000 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_TRUE(condition());
}

TEST(ConnectionThreads, TheOneThatBecameIdleLastWorksNext) {
  std::latch together(3);
  std::atomic<int> done = 0;
  ConnectionThreads threads(8);  // the last, so that its threads end before what they use
  for (int i = 0; i < 3; ++i) {
    threads.enqueue([&] {
      together.arrive_and_wait();
      ++done;
    });
  }
  WaitUntil([&] { return threads.idle() == 3; });
  EXPECT_EQ(done, 3);
  std::set<std::thread::id> used;
  for (int i = 0; i < 20; ++i) {
    threads.enqueue([&] { used.insert(std::this_thread::get_id()); });
    WaitUntil([&] { return threads.idle() == 3; });
  }
  EXPECT_EQ(used.size(), 1u);
  EXPECT_EQ(threads.threads(), 3u);
}

TEST(ConnectionThreads, BeyondTheBoundJobsWait) {
  std::latch go(1);
  std::atomic<int> started = 0;
  ConnectionThreads threads(2);
  for (int i = 0; i < 5; ++i) {
    threads.enqueue([&] {
      ++started;
      go.wait();
    });
  }
  WaitUntil([&] { return started == 2; });
  EXPECT_EQ(threads.threads(), 2u);
  EXPECT_EQ(threads.idle(), 0u);
  go.count_down();
  WaitUntil([&] { return started == 5; });
}

TEST(ConnectionThreads, IdleOnesEndAndOthersAreStarted) {
  std::atomic<int> done = 0;
  ConnectionThreads threads(4, milliseconds(5));
  for (int round = 1; round <= 3; ++round) {
    threads.enqueue([&] { ++done; });
    WaitUntil([&] { return threads.threads() == 0; });
    EXPECT_EQ(done, round);
  }
}

// Jobs come while threads are about to end: none is lost.
TEST(ConnectionThreads, NoJobIsLost) {
  std::atomic<int> done = 0;
  {
    ConnectionThreads threads(2, milliseconds(0));
    for (int i = 0; i < 2'000; ++i) threads.enqueue([&] { ++done; });
  }
  EXPECT_EQ(done, 2'000);
}

}  // namespace
}  // namespace mobilevlm::serve
