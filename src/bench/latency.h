// How long each step of a question takes, several times over.
#pragma once

#include <atomic>
#include <vector>

#include "base/result.h"
#include "bench/workload.h"

namespace mobilevlm::bench {

// Repeated measurements of one thing, in seconds.
struct Series {
  std::vector<double> seconds;

  double median() const;  // 0 if there are none
  double least() const;
  double most() const;
};

struct DepthSeries {
  int depth = 0;  // positions in the cache before the first of the kDecodeTokens
  Series decode;  // of kDecodeTokens together
};

struct Latency {
  Series preprocess, tower, projector;
  Series encode;  // tower and projector together
  Series prompt;
  DepthSeries headline;             // decode right behind the prompt
  std::vector<DepthSeries> deeper;  // decode further down
};

struct LatencyOptions {
  int repeats = 5;
  std::vector<int> depths = {1024, 1900};     // those that the context does not hold are left out
  const std::atomic<bool>* cancel = nullptr;  // true: an Error soon
};

// Every step runs once before it is measured. Progress goes to standard error.
Result<Latency> MeasureLatency(Workload& workload, const LatencyOptions& options);

}  // namespace mobilevlm::bench
