// Intervals and tests for scores, all with fixed seeds: the same scores give the same numbers.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "eval/proportion.h"

namespace mobilevlm::eval {

inline constexpr int kResamples = 1000;

// The 95 % percentile bootstrap (Efron 1979) of a statistic of `count` things, given by the indices of a
// resample.
Interval BootstrapInterval(size_t count, const std::function<double(std::span<const size_t>)>& statistic,
                           int resamples = kResamples);

// McNemar's exact test of paired right and wrong: the probability of a split of the discordant pairs at least
// as uneven as this one, were both equally good. only_a: right in a alone.
double McNemarExact(size_t only_a, size_t only_b);

struct PairedDifference {
  double difference = 0;  // mean of b - a
  Interval interval;      // 95 %, paired bootstrap
  double p_value = 1;     // two-sided: McNemar where all scores are 0 or 1, else the sign-flip test
  bool exact = false;     // McNemar
  size_t only_a = 0, only_b = 0, count = 0;  // pairs in which one is better
};
// a and b score the same things in the same order.
PairedDifference ComparePaired(std::span<const double> a, std::span<const double> b);

}  // namespace mobilevlm::eval
