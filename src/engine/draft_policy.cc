#include "engine/draft_policy.h"

#include <algorithm>

#include "base/check.h"

namespace mobilevlm::engine {
namespace {

// What is believed of a draft before any was seen, by length of match. Only the first few answers of a
// conversation feel it.
constexpr std::array<double, kLongestMatch + 1> kFirstGuess = {0.0, 0.2, 0.4, 0.6, 0.7};

constexpr double kPriceWeight = 0.25;   // of the newest measurement
constexpr double kOutcomeWeight = 0.1;  // of the newest outcome
constexpr double kWorthIt = 1.05;       // a smaller gain is within the noise of the measurements
constexpr size_t kPlainFirst = 2;       // plain steps before the first draft: the first one may be a cold one
constexpr size_t kDraftsInARow = 16;    // then one plain step, so that the price of one id stays known
// Steps for which a price is remembered: a busy moment must not rule a batch out for ever, and trying the
// prices again must cost little where drafting does not pay.
constexpr size_t kMemory = 256;

}  // namespace

DraftPolicy::DraftPolicy() : right_(kFirstGuess) {}

bool DraftPolicy::Known(size_t ids) const {
  return prices_[ids].milliseconds > 0 && (ids == 1 || steps_ - prices_[ids].step < kMemory);
}

// Between two known prices a straight line; beyond the last one no more than that, so that it is tried. The
// price of one id is known.
double DraftPolicy::Cost(size_t ids) const {
  size_t below = ids, above = ids;
  while (!Known(below)) --below;
  while (above < prices_.size() && !Known(above)) ++above;
  double cost = prices_[below].milliseconds;
  if (above < prices_.size() && above != below) {
    const double part = static_cast<double>(ids - below) / static_cast<double>(above - below);
    cost += part * (prices_[above].milliseconds - cost);
  }
  return std::max(cost, prices_[1].milliseconds);
}

size_t DraftPolicy::Choose(size_t match, size_t available) const {
  MVLM_CHECK(match <= kLongestMatch, "a match of {}", match);
  available = std::min(available, kMostDraftedAuto);
  if (plain_steps_ < kPlainFirst || drafts_in_a_row_ == kDraftsInARow || !Known(1)) return 0;
  size_t best = 0;
  double best_rate = kWorthIt / Cost(1);
  double gain = 1, power = 1;
  for (size_t drafted = 1; drafted <= available; ++drafted) {
    power *= right_[match];
    gain += power;
    if (const double rate = gain / Cost(1 + drafted); rate > best_rate) {
      best = drafted;
      best_rate = rate;
    }
  }
  return best;
}

void DraftPolicy::RecordCost(size_t ids, double milliseconds) {
  ++steps_;
  plain_steps_ += ids == 1;
  drafts_in_a_row_ = ids == 1 ? 0 : drafts_in_a_row_ + 1;
  if (ids >= prices_.size()) return;  // a caller's own length
  Price& price = prices_[ids];
  if (!Known(ids)) {
    price.milliseconds = milliseconds;
  } else if (ids == 1 && plain_steps_ <= kPlainFirst) {
    price.milliseconds = std::min(price.milliseconds, milliseconds);
  } else {
    price.milliseconds += kPriceWeight * (milliseconds - price.milliseconds);
  }
  price.step = steps_;
}

void DraftPolicy::RecordOutcome(size_t match, size_t examined, size_t right) {
  MVLM_CHECK(match <= kLongestMatch && right <= examined, "match {}, {} of {} right", match, right, examined);
  for (size_t i = 0; i < examined; ++i) {
    const double outcome = i < right ? 1.0 : 0.0;
    right_[match] += kOutcomeWeight * (outcome - right_[match]);
  }
}

}  // namespace mobilevlm::engine
