#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace mobilevlm::eval {
namespace {

constexpr uint64_t kSeed = 20240206;

bool IsBinary(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

// The middle 95 % of the values.
Interval Middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const size_t low = static_cast<size_t>(place);
    const size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
  };
  return {at(0.025), at(0.975)};
}

// Two-sided: flips the sign of each difference at random (Fisher's randomisation test).
double SignFlipTest(std::span<const double> differences, double observed) {
  constexpr int kFlips = 10'000;
  Random random(kSeed);
  int as_far = 0;
  for (int flip = 0; flip < kFlips; ++flip) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      if (i % 64 == 0) bits = random.Next();
      sum += (bits >> (i % 64) & 1) != 0 ? differences[i] : -differences[i];
    }
    as_far += std::abs(sum) >= std::abs(observed) * (1 - 1e-12);
  }
  return (as_far + 1.0) / (kFlips + 1.0);
}

}  // namespace

Interval BootstrapInterval(size_t count, const std::function<double(std::span<const size_t>)>& statistic,
                           int resamples) {
  if (count == 0) return {0, 0};
  Random random(kSeed);
  std::vector<size_t> sample(count);
  std::vector<double> values;
  for (int i = 0; i < resamples; ++i) {
    for (size_t& index : sample) index = random.Below(count);
    values.push_back(statistic(sample));
  }
  return Middle(std::move(values));
}

double McNemarExact(size_t only_a, size_t only_b) {
  const size_t n = only_a + only_b;
  if (n == 0) return 1;
  // P(X <= min) for X binomial (n, 1/2), in logarithms.
  const double log_half = -std::log(2.0) * static_cast<double>(n);
  double tail = 0;
  for (size_t k = 0; k <= std::min(only_a, only_b); ++k) {
    const double log_choose = std::lgamma(static_cast<double>(n) + 1) -
                              std::lgamma(static_cast<double>(k) + 1) -
                              std::lgamma(static_cast<double>(n - k) + 1);
    tail += std::exp(log_choose + log_half);
  }
  return std::min(1.0, 2 * tail);
}

PairedDifference ComparePaired(std::span<const double> a, std::span<const double> b) {
  MVLM_CHECK(a.size() == b.size());
  PairedDifference result;
  result.count = a.size();
  if (a.empty()) return result;
  std::vector<double> differences(a.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    differences[i] = b[i] - a[i];
    sum += differences[i];
    result.only_a += differences[i] < 0;
    result.only_b += differences[i] > 0;
  }
  result.difference = sum / static_cast<double>(a.size());
  result.interval = BootstrapInterval(a.size(), [&](std::span<const size_t> sample) {
    double resampled = 0;
    for (const size_t index : sample) resampled += differences[index];
    return resampled / static_cast<double>(sample.size());
  });
  result.exact = IsBinary(a) && IsBinary(b);
  result.p_value = result.exact ? McNemarExact(result.only_a, result.only_b) : SignFlipTest(differences, sum);
  return result;
}

}  // namespace mobilevlm::eval
