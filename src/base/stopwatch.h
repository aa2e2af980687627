#pragma once

#include <chrono>

namespace mobilevlm {

// Wall time since construction, from the monotonic clock.
class Stopwatch {
 public:
  double Milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }
  double Seconds() const { return Milliseconds() / 1000; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace mobilevlm
