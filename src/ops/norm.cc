#include "ops/norm.h"

#include "ops/parallel.h"

namespace mobilevlm {

void LayerNorm(const OpsContext& ctx, Mat<const float> x, std::span<const float> gamma,
               std::span<const float> beta, float eps, Mat<float> y) {
  MVLM_CHECK(x.rows() == y.rows() && x.cols() == y.cols(), "x [{}, {}], y [{}, {}]", x.rows(), x.cols(),
             y.rows(), y.cols());
  MVLM_CHECK(gamma.size() == x.cols() && beta.size() == x.cols(), "{} columns, gamma {}, beta {}", x.cols(),
             gamma.size(), beta.size());
  if (x.cols() == 0) return;
  ParallelRows(ctx, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      ctx.kernels->layer_norm(x.row(t), gamma.data(), beta.data(), eps, x.cols(), y.row(t));
    }
  });
}

void RmsNorm(const OpsContext& ctx, Mat<const float> x, std::span<const float> gamma, float eps,
             Mat<float> y) {
  MVLM_CHECK(x.rows() == y.rows() && x.cols() == y.cols(), "x [{}, {}], y [{}, {}]", x.rows(), x.cols(),
             y.rows(), y.cols());
  MVLM_CHECK(gamma.size() == x.cols(), "{} columns, gamma {}", x.cols(), gamma.size());
  if (x.cols() == 0) return;
  ParallelRows(ctx, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      ctx.kernels->rms_norm(x.row(t), gamma.data(), eps, x.cols(), y.row(t));
    }
  });
}

}  // namespace mobilevlm
