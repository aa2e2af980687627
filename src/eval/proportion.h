// A share of right answers with its 95 % confidence interval.
#pragma once

namespace mobilevlm::eval {

struct Interval {
  double low = 0;
  double high = 1;
};

// Wilson's score interval (E. B. Wilson, JASA 22, 1927): sound for small samples and for shares near 0
// and 1, where the normal approximation is not. correct <= total; total 0 gives [0, 1].
Interval WilsonInterval(int correct, int total);

}  // namespace mobilevlm::eval
