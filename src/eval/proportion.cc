#include "eval/proportion.h"

#include <algorithm>
#include <cmath>

namespace mobilevlm::eval {

Interval WilsonInterval(int correct, int total) {
  if (total <= 0) return {};
  constexpr double kZ = 1.959963984540054;  // the normal distribution's 97.5 % point
  const double n = total;
  const double p = correct / n;
  const double denominator = 1 + kZ * kZ / n;
  const double centre = p + kZ * kZ / (2 * n);
  const double half = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  return {std::max(0.0, (centre - half) / denominator), std::min(1.0, (centre + half) / denominator)};
}

}  // namespace mobilevlm::eval
