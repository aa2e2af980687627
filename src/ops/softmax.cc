#include "ops/softmax.h"

#include "ops/parallel.h"

namespace mobilevlm {

void Softmax(const OpsContext& ctx, Mat<float> x) {
  const KernelTable& kernels = *ctx.kernels;
  ParallelRows(ctx, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float max = kernels.max(x.row(r), x.cols());
      const float sum = kernels.exp_sum(x.row(r), x.cols(), max);
      kernels.scale(x.row(r), x.cols(), 1.0f / sum);
    }
  });
}

}  // namespace mobilevlm
