// Batches made ahead of time on threads of their own, handed out in order.
//
// make(i) must be a pure function of i, so that a resumed run sees the same batches; several calls run
// at the same time. One consumer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace mobilevlm::train {

template <class T>
class Prefetcher {
 public:
  // Batches first, first + 1, ..., last - 1; at most `depth` wait.
  Prefetcher(int64_t first, int64_t last, int threads, int64_t depth, std::function<T(int64_t)> make)
      : make_(std::move(make)), next_to_make_(first), next_to_take_(first), last_(last), depth_(depth) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~Prefetcher() {
    {
      std::lock_guard lock(mutex_);
      last_ = next_to_make_;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next batch; waits for it. Rethrows what make() threw for it; those before it are handed out first.
  T Next() {
    std::unique_lock lock(mutex_);
    const auto start = std::chrono::steady_clock::now();
    changed_.wait(lock, [&] { return errors_.contains(next_to_take_) || ready_.contains(next_to_take_); });
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (const auto error = errors_.find(next_to_take_); error != errors_.end()) {
      std::rethrow_exception(error->second);
    }
    T batch = std::move(ready_.extract(next_to_take_++).mapped());
    lock.unlock();
    changed_.notify_all();
    return batch;
  }

  // Seconds that Next has waited since the last call.
  double TakeWaitedSeconds() { return std::exchange(waited_, 0.0); }

 private:
  void Run() {
    for (;;) {
      int64_t index;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return next_to_make_ >= last_ || next_to_make_ < next_to_take_ + depth_; });
        if (next_to_make_ >= last_) return;
        index = next_to_make_++;
      }
      try {
        T batch = make_(index);
        std::lock_guard lock(mutex_);
        ready_.emplace(index, std::move(batch));
      } catch (...) {
        std::lock_guard lock(mutex_);
        errors_.emplace(index, std::current_exception());
        last_ = next_to_make_;  // nobody will get beyond it
      }
      changed_.notify_all();
    }
  }

  std::function<T(int64_t)> make_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, T> ready_;
  std::map<int64_t, std::exception_ptr> errors_;
  int64_t next_to_make_;
  int64_t next_to_take_;
  int64_t last_;
  int64_t depth_;
  double waited_ = 0;  // of the consumer
  std::vector<std::thread> threads_;
};

}  // namespace mobilevlm::train
