#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

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

  // Likeliest first; the lower id first on a tie, so that the order is one and the same everywhere.
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value > b.value : a.id < b.id;
  };
  if (options_.temperature == 0.0f) {
    const auto best = std::min_element(candidates_.begin(), candidates_.end(), likelier);
    if (best == candidates_.end() || best->value == kMinusInfinity) {
      return Fail("the model produced no finite logit");
    }
    return best->id;
  }
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), likelier);
    candidates_.resize(static_cast<size_t>(options_.top_k));
  } else {
    std::sort(candidates_.begin(), candidates_.end(), likelier);
  }
  if (candidates_.empty() || candidates_.front().value == kMinusInfinity) {
    return Fail("the model produced no finite logit");
  }
  return Draw();
}

void Sampler::Penalise(std::span<const int> seen) {
  penalised_.assign(candidates_.size(), 0);
  for (const int id : seen) {
    if (id < 0 || static_cast<size_t>(id) >= candidates_.size()) continue;
    if (penalised_[static_cast<size_t>(id)]++ != 0) {
      penalised_[static_cast<size_t>(id)] = 1;  // no wrap-around after 255 repeats
      continue;
    }
    float& value = candidates_[static_cast<size_t>(id)].value;
    value = value > 0.0f ? value / options_.repetition_penalty : value * options_.repetition_penalty;
  }
}

// candidates_ holds logits, likeliest first. Filters and draws.
int Sampler::Draw() {
  const float top = candidates_.front().value;
  if (std::isinf(top)) return candidates_.front().id;  // +infinity: certain, and inf - inf is no number
  double total = 0.0;
  for (Candidate& candidate : candidates_) {
    candidate.value = std::exp((candidate.value - top) / options_.temperature);
    total += static_cast<double>(candidate.value);
  }
  // top-p on the probabilities as they stand; the likeliest always stays.
  if (options_.top_p < 1.0f) {
    double sum = 0.0;
    size_t keep = 0;
    while (keep < candidates_.size() && sum < static_cast<double>(options_.top_p) * total) {
      sum += static_cast<double>(candidates_[keep++].value);
    }
    candidates_.resize(std::max<size_t>(keep, 1));
    total = sum;
  }
  // The likeliest has value 1 here, so min-p compares with the values directly.
  if (options_.min_p > 0.0f) {
    size_t keep = 0;
    double sum = 0.0;
    while (keep < candidates_.size() && candidates_[keep].value >= options_.min_p) {
      sum += static_cast<double>(candidates_[keep++].value);
    }
    candidates_.resize(std::max<size_t>(keep, 1));
    total = sum;
  }
  double target = random_.Uniform() * total;
  for (const Candidate& candidate : candidates_) {
    target -= static_cast<double>(candidate.value);
    if (target < 0.0) return candidate.id;
  }
  // Rounding left a crumb: the last candidate that has any probability.
  for (size_t i = candidates_.size(); i > 1; --i) {
    if (candidates_[i - 1].value > 0.0f) return candidates_[i - 1].id;
  }
  return candidates_.front().id;
}

}  // namespace mobilevlm
