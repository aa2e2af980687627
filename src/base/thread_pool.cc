#include "base/thread_pool.h"

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "base/check.h"

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

ThreadPool::ThreadPool(int threads)
    : shares_(static_cast<size_t>(
          threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency())))) {
  // Where the system gives no more threads, half of what it gave is kept: at the limit nothing would be left
  // to work with. Those that are there take the shares of the others too.
  for (size_t workers = shares_.size() - 1; !Start(workers); workers = (workers_.size() + 1) / 2) Stop();
}

ThreadPool::~ThreadPool() { Stop(); }

bool ThreadPool::Start(size_t workers) {
  stop_ = false;
  workers_.clear();
  try {
    const uint64_t seen = generation_.load();
    for (size_t i = 1; i <= workers; ++i) workers_.emplace_back([this, i, seen] { WorkerLoop(i, seen); });
  } catch (const std::system_error&) {
    return workers_.empty();  // not even one: the caller works alone
  }
  return true;
}

void ThreadPool::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunItems(size_t thread) {
  for (size_t s = 0; s < shares_.size(); ++s) {
    Share& share = shares_[(thread + s) % shares_.size()];
    for (size_t i = share.next.fetch_add(1); i < share.end; i = share.next.fetch_add(1)) (*body_)(i, thread);
  }
}

void ThreadPool::WorkerLoop(size_t thread, uint64_t seen) {
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) Pause();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stop_) return;
    RunItems(thread);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::ParallelFor(size_t n, const std::function<void(size_t, size_t)>& body) {
  if (n == 0) return;
  if (workers_.empty() || n == 1) {
    for (size_t i = 0; i < n; ++i) body(i, 0);
    return;
  }
  body_ = &body;
  for (size_t t = 0; t < shares_.size(); ++t) {
    shares_[t].next = t * n / shares_.size();
    shares_[t].end = (t + 1) * n / shares_.size();
  }
  busy_ = workers_.size();
  {
    std::lock_guard lock(mutex_);  // a worker about to park must see the new generation
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  RunItems(0);
  while (busy_.load(std::memory_order_acquire) != 0) Pause();
}

std::byte* ThreadPool::Scratch(size_t bytes) {
  if (bytes > scratch_bytes_) {
    const size_t rounded = (bytes + 63) / 64 * 64;
    scratch_.reset();  // first, so that old and new are never held together
    scratch_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
    MVLM_CHECK(scratch_ != nullptr, "out of memory: {} bytes", rounded);
    scratch_bytes_ = rounded;
  }
  return scratch_.get();
}

}  // namespace mobilevlm
