// What the machine can do at most, measured now: the numbers every speed is compared with.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace mobilevlm::costs {

struct Ceilings {
  double fp32_gflops = 0;                             // all threads together; a multiply-add counts as two
  double int8_gops = 0;                               // the same, of bytes
  double read_gbs = 0;                                // 10^9 bytes per second from memory, beyond all caches
  std::string fp32_method, int8_method, read_method;  // the instructions
  int threads = 0;
  // Why the numbers should not be believed, or empty.
  std::string failed_probe;

  // The better of both, number by number: two looks at a machine that other work disturbs.
  static Ceilings Best(const Ceilings& a, const Ceilings& b);
};

// Best of five, about a second in all. threads as in ThreadPool. `read_buffer` bytes are allocated and should
// be several times the last-level cache; an Error if they cannot be had.
inline constexpr uint64_t kReadBuffer = 512u << 20;
Result<Ceilings> MeasureCeilings(int threads, uint64_t read_buffer = kReadBuffer);

// The first of them alone, a quarter of a second.
double MeasureFp32Gflops(int threads);

}  // namespace mobilevlm::costs
