// DraftPolicy: how many drafted ids are worth verifying, learned from what drafts have cost and brought.
//
// A step over n ids (the last one and n - 1 drafted) takes cost(n) and yields, if each drafted id is right
// with probability p once those before it were,
//
//   gain(n) = 1 + p + p^2 + ... + p^(n-1)   ids,
//
// so the best n has the largest gain(n) / cost(n), and n = 1 means that drafting does not pay. cost is
// measured here, on this machine with this model; p is measured for each length of match, also while nothing
// is drafted: whether a draft would have been right is seen without paying for it.
//
// Pure: time comes in as an argument. Not thread-safe; belongs to one conversation and outlives its answers.
#pragma once

#include <array>
#include <cstddef>

#include "engine/prompt_lookup.h"

namespace mobilevlm::engine {

inline constexpr size_t kMostDrafted = 16;     // what a caller may ask for
inline constexpr size_t kMostDraftedAuto = 8;  // what the policy chooses from: gains beyond are rare

class DraftPolicy {
 public:
  DraftPolicy();

  // How many of the `available` ids of a draft with this length of match to verify in the next step; 0: none.
  size_t Choose(size_t match, size_t available) const;

  // A step over `ids` ids (1: a plain one) took this long.
  void RecordCost(size_t ids, double milliseconds);

  // `examined` ids of a draft were compared with what the model said; `right` of them agreed, the first ones.
  void RecordOutcome(size_t match, size_t examined, size_t right);

 private:
  // Steps over one number of ids.
  struct Price {
    double milliseconds = 0;  // 0: not known
    size_t step = 0;          // when it was last paid
  };

  bool Known(size_t ids) const;
  double Cost(size_t ids) const;

  std::array<Price, kMostDraftedAuto + 2> prices_{};  // [ids]
  std::array<double, kLongestMatch + 1> right_;       // [match] probability
  size_t steps_ = 0;
  size_t plain_steps_ = 0;
  size_t drafts_in_a_row_ = 0;
};

}  // namespace mobilevlm::engine
