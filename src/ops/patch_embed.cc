#include "ops/patch_embed.h"

#include <cstring>

#include "ops/parallel.h"

namespace mobilevlm {

void PatchEmbed(const OpsContext& ctx, const float* pixels, size_t size, size_t patch, const LinearWeights& w,
                PatchScratch& scratch, Mat<float> y) {
  MVLM_CHECK(patch > 0 && w.in == 3 * patch * patch, "patch {}, weights [{}, {}]", patch, w.out, w.in);
  const size_t grid = size / patch;
  MVLM_CHECK(y.rows() == grid * grid, "{} patches, y [{}, {}]", grid * grid, y.rows(), y.cols());

  const Mat<float> columns = scratch.columns.ReserveMat(grid * grid, w.in);  // in the conv weight's order
  ParallelRows(ctx, grid * grid, w.in, [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      float* out = columns.row(p);
      for (size_t channel = 0; channel < 3; ++channel) {
        for (size_t i = 0; i < patch; ++i, out += patch) {
          const size_t row = p / grid * patch + i;
          const float* in = pixels + (channel * size + row) * size + p % grid * patch;
          std::memcpy(out, in, patch * sizeof(float));
        }
      }
    }
  });
  Linear(ctx, columns, w, y);
}

}  // namespace mobilevlm
