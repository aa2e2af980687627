// The threads and the progress of one conversion.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"

namespace mobilevlm {

// Called between pieces of work with the bytes of input that are done, of all; an Error stops the work.
using WorkProgress = std::function<Status(uint64_t done, uint64_t total)>;

struct Work {
  Work(int threads, WorkProgress callback) : pool(threads), progress(std::move(callback)) {}

  Status Advance(uint64_t bytes) {
    done += bytes;
    return progress ? progress(done, total) : Status();
  }

  ThreadPool pool;
  WorkProgress progress;
  uint64_t done = 0;
  uint64_t total = 0;
};

}  // namespace mobilevlm
