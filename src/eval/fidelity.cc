#include "eval/fidelity.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace mobilevlm::eval {
namespace {

double Cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

size_t Likeliest(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// log of the sum of exp(logits)
double LogSum(std::span<const float> logits) {
  const double max = logits[Likeliest(logits)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

double Divergence(std::span<const float> reference, std::span<const float> found) {
  const double reference_sum = LogSum(reference);
  const double found_sum = LogSum(found);
  double divergence = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = reference[i] - reference_sum;
    divergence += std::exp(log_p) * (log_p - (found[i] - found_sum));
  }
  return divergence;
}

}  // namespace

void CosineFidelity::Add(std::span<const float> reference, std::span<const float> found, size_t cols) {
  MVLM_CHECK(reference.size() == found.size() && cols > 0 && reference.size() % cols == 0);
  for (size_t at = 0; at < reference.size(); at += cols, ++rows_) {
    const double cosine = Cosine(reference.subspan(at, cols), found.subspan(at, cols));
    sum_ += cosine;
    least_ = std::min(least_, cosine);
  }
}

void LogitFidelity::Add(std::span<const float> reference, std::span<const float> found, size_t vocab) {
  MVLM_CHECK(reference.size() == found.size() && vocab > 0 && reference.size() % vocab == 0);
  for (size_t at = 0; at < reference.size(); at += vocab, ++rows_) {
    const auto wanted = reference.subspan(at, vocab);
    const auto row = found.subspan(at, vocab);
    kl_ += Divergence(wanted, row);
    same_ += Likeliest(wanted) == Likeliest(row) ? 1 : 0;
  }
}

}  // namespace mobilevlm::eval
