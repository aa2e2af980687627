// How far a smaller model's outputs are from those of the model it was made from. Matrices are row-major
// spans, the same size on both sides.
#pragma once

#include <cstddef>
#include <span>

namespace mobilevlm::eval {

// Accumulates over pictures; all means are 0 of nothing.
class CosineFidelity {
 public:
  // Rows of `cols` values, one per visual token. A row of zeros has cosine 0 with everything.
  void Add(std::span<const float> reference, std::span<const float> found, size_t cols);

  double mean() const { return rows_ > 0 ? sum_ / static_cast<double>(rows_) : 0; }
  double least() const { return least_; }
  size_t rows() const { return rows_; }

 private:
  double sum_ = 0;
  double least_ = 1;
  size_t rows_ = 0;
};

class LogitFidelity {
 public:
  // Rows of `vocab` logits, one per position.
  void Add(std::span<const float> reference, std::span<const float> found, size_t vocab);

  // Kullback-Leibler divergence of the found from the reference distribution, in nats per position.
  double mean_kl() const { return rows_ > 0 ? kl_ / static_cast<double>(rows_) : 0; }
  // The share of positions at which both find the same token likeliest.
  double top1() const { return rows_ > 0 ? static_cast<double>(same_) / static_cast<double>(rows_) : 0; }
  size_t rows() const { return rows_; }

 private:
  double kl_ = 0;
  size_t same_ = 0;
  size_t rows_ = 0;
};

}  // namespace mobilevlm::eval
