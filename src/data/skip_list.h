// The samples that could not be used: counted, listed, and the end of the work when they are too many.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace mobilevlm::data {

// Thread contract: all members may be called concurrently.
class SkipList {
 public:
  struct Counts {
    uint64_t seen = 0, skipped = 0;
  };

  // Too many are more than `limit` (0.01 is 1 %) of the samples seen; the first thousand samples, or all of
  // them if there are fewer, count as seen from the beginning, and one may always be skipped, so that one bad
  // picture at the start or in a small set ends nothing. With a limit of 0 none may.
  SkipList(double limit, uint64_t samples);

  void Seen(uint64_t more = 1);
  // Counts a sample once, however often it is met.
  void Skip(uint64_t sample, const std::string& reason);

  Counts counts() const;
  // `total`: of this list and those of other processes. The Error says how many are too many, and the first
  // reason that this list knows.
  Status Check(const Counts& total) const;
  // One line a sample, in the order of their numbers.
  std::vector<std::string> Reasons() const;

 private:
  const double limit_;
  const uint64_t least_seen_;
  mutable std::mutex mutex_;
  uint64_t seen_ = 0;
  std::string first_;
  std::unordered_map<uint64_t, std::string> reasons_;
};

}  // namespace mobilevlm::data
