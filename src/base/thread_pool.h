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
#include <functional>
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

  // Calls body(i) once for every i in [0, n), in any order, on all threads; returns when all are done.
  // Items are handed out one at a time, so uneven items balance. Must not be nested.
  void ParallelFor(size_t n, const std::function<void(size_t)>& body);

 private:
  void WorkerLoop();
  void RunItems();

  std::vector<std::thread> workers_;
  const std::function<void(size_t)>* body_ = nullptr;
  size_t count_ = 0;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> busy_{0};
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace mobilevlm
