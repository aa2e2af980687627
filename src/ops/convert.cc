#include "ops/convert.h"

#include "ops/parallel.h"

namespace mobilevlm {

void ToHalf(const OpsContext& ctx, Mat<const float> in, f16_t* out, size_t out_stride) {
  ParallelRows(ctx, in.rows(), in.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) ctx.kernels->to_half(in.row(t), in.cols(), out + t * out_stride);
  });
}

}  // namespace mobilevlm
