// The innermost loops of the ceilings: what this CPU's arithmetic and memory can do at most, written in
// assembly because compilers copy accumulators around and then show less.
//
// Every loop keeps at least twelve independent accumulators in registers, more than latency times ports of
// any current core.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mobilevlm::costs {

struct ComputeProbe {
  const char* method;             // the instructions, e.g. "vpdpbusd zmm"
  uint64_t operations_per_round;  // a multiplication and an addition count as two
  void (*run)(uint64_t rounds);   // rounds > 0
};

struct ReadProbe {
  const char* method;
  // Loads every byte once. `bytes` is a multiple of kReadStep, `data` aligned to 64.
  void (*run)(const void* data, size_t bytes);
};
inline constexpr size_t kReadStep = 1024;

struct Probes {
  ComputeProbe fp32;
  ComputeProbe int8;
  ReadProbe read;
  // int8 over fp32 operations per second that this pair of instructions must show, or 0: no such law.
  double least_ratio = 0;
  double most_ratio = 0;
};

// Whether `ratio` lies in least to most, both included; always if `least` is 0. A NaN does not.
bool RatioHolds(double ratio, double least, double most);

// The widest that this CPU and its system can run.
Probes ChooseProbes();

}  // namespace mobilevlm::costs
