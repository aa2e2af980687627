// The whole benchmark: ceilings, child processes, latencies, counts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bench/latency.h"
#include "bench/report.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::bench {

struct BenchOptions {
  LoadOptions load;  // both files named
  LatencyOptions latency;
  // Start this program again to measure memory and the time to the first token.
  bool processes = true;
};

Result<Report> RunBench(const BenchOptions& options);

// The flags with which a child of RunBench loads the same model in the same way.
std::vector<std::string> ModelArguments(const LoadOptions& load);

// The flag of `mobilevlm bench` that makes it a child of RunBench, hidden from its help.
inline constexpr const char* kMemoryChildFlag = "--memory-child";

// What that child does: load, encode, prompt, decode, nothing else. The largest resident size it had, bytes.
Result<uint64_t> MeasurePeakMemory(const LoadOptions& load);

}  // namespace mobilevlm::bench
