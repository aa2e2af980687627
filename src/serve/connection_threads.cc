#include "serve/connection_threads.h"

#include <system_error>
#include <utility>

namespace mobilevlm::serve {

void ConnectionThreads::enqueue(Job job) {
  Threads ended;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(ended_);
    if (!idle_.empty()) {
      Place& place = *idle_.back();
      idle_.pop_back();
      place.job = std::move(job);
      place.wake.notify_one();  // under the lock: the place is gone once its thread has seen the job
    } else if (!StartThread(job)) {
      waiting_.push_back(std::move(job));
    }
  }
  for (std::thread& thread : ended) thread.join();
}

// False at the bound, and where the system gives no more: a thread that becomes free takes the job then, or
// the one that is started for the next.
bool ConnectionThreads::StartThread(const Job& job) {
  if (running_.size() >= most_) return false;
  const auto self = running_.emplace(running_.end());
  try {
    *self = std::thread([this, self, job] { Run(self, job); });
  } catch (const std::system_error&) {
    running_.erase(self);
    return false;
  }
  return true;
}

void ConnectionThreads::Run(Threads::iterator self, Job job) {
  for (;;) {
    job();
    std::unique_lock lock(mutex_);
    job = NextJob(lock);
    if (job) continue;
    ended_.splice(ended_.end(), running_, self);
    if (running_.empty()) all_ended_.notify_all();
    return;
  }
}

// None: the thread ends.
ConnectionThreads::Job ConnectionThreads::NextJob(std::unique_lock<std::mutex>& lock) {
  if (!waiting_.empty()) {
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    return job;
  }
  if (ending_) return nullptr;
  Place place;
  idle_.push_back(&place);
  place.wake.wait_for(lock, idle_time_, [&] { return place.job || ending_; });
  if (!place.job) std::erase(idle_, &place);
  return std::move(place.job);
}

void ConnectionThreads::shutdown() {
  Threads ended;
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    for (Place* place : idle_) place->wake.notify_one();
    all_ended_.wait(lock, [this] { return running_.empty(); });
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

size_t ConnectionThreads::threads() const {
  const std::lock_guard lock(mutex_);
  return running_.size();
}

size_t ConnectionThreads::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace mobilevlm::serve
