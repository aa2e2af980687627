#include "base/thread_pool.h"

#include <algorithm>
#include <cstdint>
#include <system_error>

namespace mobilevlm {
namespace {

// About 50 microseconds: longer than the gap between two loops of one layer, shorter than a time slice.
constexpr int kSpins = 4000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { WorkerLoop(); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that are there do the work.
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunItems() {
  for (size_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) (*body_)(i);
}

void ThreadPool::WorkerLoop() {
  uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) Pause();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_) return;
    RunItems();
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::ParallelFor(size_t n, const std::function<void(size_t)>& body) {
  if (n == 0) return;
  if (workers_.empty() || n == 1) {
    for (size_t i = 0; i < n; ++i) body(i);
    return;
  }
  body_ = &body;
  count_ = n;
  next_ = 0;
  busy_ = workers_.size();
  {
    std::lock_guard lock(mutex_);  // a worker about to park must see the new generation
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  RunItems();
  while (busy_.load(std::memory_order_acquire) != 0) Pause();
}

}  // namespace mobilevlm
