// A mutex that serves who waits longest. A thread that unlocks a std::mutex and locks it again at once mostly
// gets it before one that has to be woken; here it is behind those that wait.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace mobilevlm {

class FairMutex {
 public:
  void lock() {
    std::unique_lock guard(mutex_);
    const uint64_t turn = next_++;
    changed_.wait(guard, [&] { return turn == now_; });
  }
  void unlock() {
    {
      const std::lock_guard guard(mutex_);
      ++now_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0, now_ = 0;  // turns given out; the one that holds the lock
};

}  // namespace mobilevlm
