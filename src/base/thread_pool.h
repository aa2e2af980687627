// A fixed set of threads that run one parallel loop at a time.
//
// Workers spin briefly between loops and then park, so that the many short loops of one decoded token
// cost no system call. The calling thread takes part. One pool serves one caller at a time; two
// engines own two pools.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace mobilevlm {

class ThreadPool {
 public:
  // `threads` counts the caller: 1 is no extra thread, 0 one per online CPU; fewer if the system gives fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(i, thread) once for every i in [0, n), in any order, on all threads; returns when all are
  // done. `thread`, in [0, threads()), says who runs it: no two bodies with the same thread run at once. Must
  // not be nested.
  //
  // Each thread takes the items of its own contiguous share first, one at a time, then what is left of the
  // others' shares. So uneven items balance, and loops over the same rows find them in the cache of the core
  // that wrote them: cores that share no cache pay several times the price of memory for each other's lines.
  void ParallelFor(size_t n, const std::function<void(size_t, size_t)>& body);
  void ParallelFor(size_t n, const std::function<void(size_t)>& body) {
    ParallelFor(n, [&body](size_t i, size_t) { body(i); });
  }

  // Working memory for the caller's loops: at least `bytes`, 64-byte aligned, contents undefined. It only
  // grows and stays with the pool, so that the many loops of one token allocate nothing. Valid until the
  // next call of Scratch.
  std::byte* Scratch(size_t bytes);

 private:
  // The items of one thread: [next, end). A cache line of its own.
  struct alignas(64) Share {
    std::atomic<size_t> next{0};
    size_t end = 0;
  };

  bool Start(size_t workers);  // false: the system gave fewer, and those run
  void Stop();                 // joins them; how many there were stays readable
  void WorkerLoop(size_t thread, uint64_t seen);
  void RunItems(size_t thread);

  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };

  std::vector<std::thread> workers_;
  std::unique_ptr<std::byte[], Free> scratch_;
  size_t scratch_bytes_ = 0;
  const std::function<void(size_t, size_t)>* body_ = nullptr;
  std::vector<Share> shares_;  // [threads]
  std::atomic<size_t> busy_{0};
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace mobilevlm
