#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr size_t kSortedFirst = 64;  // most draws and nuclei end among these

}  // namespace

Status CheckSamplerOptions(const SamplerOptions& options) {
  // Written so that NaN fails every one of them.
  if (!(options.temperature >= 0.0f && options.temperature <= 100.0f)) {
    return Fail("temperature must be in 0..100, found {}", options.temperature);
  }
  if (options.top_k < 0) return Fail("top-k must not be negative, found {}", options.top_k);
  if (!(options.top_p > 0.0f && options.top_p <= 1.0f)) {
    return Fail("top-p must be above 0 and at most 1, found {}", options.top_p);
  }
  if (!(options.min_p >= 0.0f && options.min_p <= 1.0f)) {
    return Fail("min-p must be in 0..1, found {}", options.min_p);
  }
  if (!(options.repetition_penalty > 0.0f && options.repetition_penalty <= 100.0f)) {
    return Fail("repetition penalty must be above 0 and at most 100, found {}", options.repetition_penalty);
  }
  return {};
}

int ArgMax(std::span<const float> logits) {
  int best = -1;
  float best_value = kMinusInfinity;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > best_value) {  // false for NaN
      best_value = logits[i];
      best = static_cast<int>(i);
    }
  }
  return best;
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {
  MVLM_CHECK(CheckSamplerOptions(options).has_value());
}

Result<int> Sampler::Sample(std::span<const float> logits, std::span<const int> seen) {
  const bool penalty = options_.repetition_penalty != 1.0f && !seen.empty();
  if (options_.temperature == 0.0f && !penalty) {
    const int best = ArgMax(logits);
    if (best < 0) return Fail("the model produced no finite logit");
    return best;
  }
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float value = std::isnan(logits[i]) ? kMinusInfinity : logits[i];
    candidates_.push_back({value, static_cast<int>(i)});
  }
  if (penalty) Penalise(seen);

  sorted_ = 0;
  if (options_.top_k > 0) Keep(static_cast<size_t>(options_.top_k));
  if (candidates_.empty() || Likeliest(0).logit == kMinusInfinity) {
    return Fail("the model produced no finite logit");
  }
  return options_.temperature == 0.0f ? candidates_.front().id : Draw();
}

// The candidate of this rank: the likeliest is 0, the lower id first on a tie, so that the order is one and
// the same everywhere. Sorting a whole vocabulary takes milliseconds, so only as much is sorted as is looked
// at.
const Sampler::Candidate& Sampler::Likeliest(size_t rank) {
  if (rank < sorted_) return candidates_[rank];
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const size_t wanted = std::min(std::max({rank + 1, 2 * sorted_, kSortedFirst}), candidates_.size());
  const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(wanted);
  if (middle != candidates_.end()) std::nth_element(begin, middle, candidates_.end(), likelier);
  std::sort(begin, middle, likelier);
  sorted_ = wanted;
  return candidates_[rank];
}

// Drops all but the likeliest.
void Sampler::Keep(size_t count) {
  if (count == 0 || count >= candidates_.size()) return;
  Likeliest(count - 1);
  candidates_.resize(count);
  sorted_ = count;
}

void Sampler::Penalise(std::span<const int> seen) {
  penalised_.assign(candidates_.size(), 0);
  for (const int id : seen) {
    if (id < 0 || static_cast<size_t>(id) >= candidates_.size()) continue;
    if (penalised_[static_cast<size_t>(id)]++ != 0) {
      penalised_[static_cast<size_t>(id)] = 1;  // no wrap-around after 255 repeats
      continue;
    }
    float& value = candidates_[static_cast<size_t>(id)].logit;
    value = value > 0.0f ? value / options_.repetition_penalty : value * options_.repetition_penalty;
  }
}

// Filters and draws.
int Sampler::Draw() {
  const float top = Likeliest(0).logit;
  if (std::isinf(top)) return candidates_.front().id;  // +infinity: certain, and inf - inf is no number
  double total = 0.0;
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::exp((candidate.logit - top) / options_.temperature);
    total += static_cast<double>(candidate.weight);
  }
  // top-p on the probabilities as they stand; the likeliest always stays.
  if (options_.top_p < 1.0f) {
    double sum = 0.0;
    size_t keep = 0;
    while (keep < candidates_.size() && sum < static_cast<double>(options_.top_p) * total) {
      sum += static_cast<double>(Likeliest(keep++).weight);
    }
    Keep(std::max<size_t>(keep, 1));
    total = sum;
  }
  // The likeliest has weight 1, so min-p compares with the weights directly.
  if (options_.min_p > 0.0f) {
    size_t keep = 0;
    double sum = 0.0;
    while (keep < candidates_.size() && Likeliest(keep).weight >= options_.min_p) {
      sum += static_cast<double>(candidates_[keep++].weight);
    }
    Keep(std::max<size_t>(keep, 1));
    total = sum;
  }
  double target = random_.Uniform() * total;
  for (size_t rank = 0; rank < candidates_.size(); ++rank) {
    target -= static_cast<double>(Likeliest(rank).weight);
    if (target < 0.0) return candidates_[rank].id;
  }
  // Rounding left a crumb: the last candidate that has any probability.
  for (size_t i = candidates_.size(); i > 1; --i) {
    if (candidates_[i - 1].weight > 0.0f) return candidates_[i - 1].id;
  }
  return candidates_.front().id;
}

}  // namespace mobilevlm
