// StopMatcher: ends a streamed text at the first stop string, without ever showing part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mobilevlm {

class StopMatcher {
 public:
  // Empty strings in `stops` are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes newly generated text and returns what may be shown now: everything before a stop string, less a
  // tail that could still grow into one. After a match it returns nothing more.
  std::string Push(std::string_view text);

  // What was held back, when the generation ends for another reason. Empty after a match.
  std::string Flush();

  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace mobilevlm
