// One line of progress on standard error: "asking 120/400 30 % 8.2/s 34 s left". On a terminal the line
// rewrites itself; in a log it appears at most every ten seconds. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace mobilevlm {

class Progress {
 public:
  Progress(std::string label, uint64_t total);
  ~Progress();  // ends the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` are finished; `detail` is added to the line as it is.
  void Update(uint64_t done, std::string_view detail = {});

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  uint64_t total_;
  bool terminal_;
  bool printed_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

}  // namespace mobilevlm
