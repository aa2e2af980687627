// ConnectionThreads: a thread for every connection that is open at the same time, up to a bound; connections
// beyond it wait. Threads are started when they are needed, the one that became idle last works next, and one
// that has been idle for a while ends: what a thread has (a stack, the allocator's cache) is held for as many
// as there are connections, not for as many as there may be.
//
// Thread contract: enqueue() and shutdown() from one thread, httplib's listening one.
#pragma once

#include <httplib.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace mobilevlm::serve {

class ConnectionThreads : public httplib::TaskQueue {
 public:
  using Job = std::function<void()>;

  explicit ConnectionThreads(size_t most, std::chrono::milliseconds idle = std::chrono::seconds(30))
      : most_(most), idle_time_(idle) {}
  ~ConnectionThreads() override { shutdown(); }

  void enqueue(Job job) override;
  void shutdown() override;  // returns when all jobs have run

  size_t threads() const;  // there are now
  size_t idle() const;

 private:
  // A thread without work, on its stack.
  struct Place {
    std::condition_variable wake;
    Job job;
  };
  using Threads = std::list<std::thread>;

  bool StartThread(const Job& job);
  void Run(Threads::iterator self, Job job);
  Job NextJob(std::unique_lock<std::mutex>& lock);

  const size_t most_;
  const std::chrono::milliseconds idle_time_;
  mutable std::mutex mutex_;
  std::condition_variable all_ended_;
  std::deque<Job> waiting_;   // every thread is busy
  std::vector<Place*> idle_;  // the last one became idle last
  Threads running_, ended_;   // ended: to be joined
  bool ending_ = false;
};

}  // namespace mobilevlm::serve
