#include "ops/pool.h"

#include <algorithm>

#include "ops/parallel.h"

namespace mobilevlm {

void AvgPool2x2(const OpsContext& ctx, Mat<const float> x, size_t grid, Mat<float> y) {
  const size_t half = grid / 2;
  MVLM_CHECK(grid % 2 == 0 && x.rows() == grid * grid && y.rows() == half * half && y.cols() == x.cols(),
             "grid {}: x [{}, {}], y [{}, {}]", grid, x.rows(), x.cols(), y.rows(), y.cols());
  ParallelRows(ctx, half * half, 4 * x.cols(), [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      const size_t corner = p / half * 2 * grid + p % half * 2;
      const float* a = x.row(corner);
      const float* b = x.row(corner + 1);
      const float* c = x.row(corner + grid);
      const float* d = x.row(corner + grid + 1);
      float* out = y.row(p);
      for (size_t i = 0; i < x.cols(); ++i) out[i] = (a[i] + b[i] + c[i] + d[i]) * 0.25f;
    }
  });
}

void GlobalMean(const OpsContext& ctx, Mat<const float> x, std::span<float> y) {
  MVLM_CHECK(y.size() == x.cols() && x.rows() > 0, "x [{}, {}], y [{}]", x.rows(), x.cols(), y.size());
  const float count = static_cast<float>(x.rows());
  ParallelRows(ctx, x.cols(), x.rows(), [&](size_t begin, size_t end) {  // over channels: no sum is split
    std::fill(y.begin() + static_cast<ptrdiff_t>(begin), y.begin() + static_cast<ptrdiff_t>(end), 0.0f);
    for (size_t p = 0; p < x.rows(); ++p) {
      const float* row = x.row(p);
      for (size_t c = begin; c < end; ++c) y[c] += row[c];
    }
    for (size_t c = begin; c < end; ++c) y[c] /= count;
  });
}

void ScaleChannels(const OpsContext& ctx, std::span<const float> scale, Mat<float> x) {
  MVLM_CHECK(scale.size() == x.cols(), "x [{}, {}], scale [{}]", x.rows(), x.cols(), scale.size());
  ParallelRows(ctx, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      float* row = x.row(p);
      for (size_t c = 0; c < x.cols(); ++c) row[c] *= scale[c];
    }
  });
}

}  // namespace mobilevlm
