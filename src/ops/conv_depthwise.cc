#include "ops/conv_depthwise.h"

#include "ops/parallel.h"

namespace mobilevlm {

void DepthwiseConv3x3(const OpsContext& ctx, Mat<const float> x, size_t grid, std::span<const float> weights,
                      std::span<const float> bias, size_t stride, Mat<float> y) {
  if (grid == 0) return;
  const size_t channels = x.cols();
  const size_t out_grid = Conv3x3OutputGrid(grid, stride);
  MVLM_CHECK(stride == 1 || stride == 2, "stride {}", stride);
  MVLM_CHECK(x.rows() == grid * grid && y.rows() == out_grid * out_grid && y.cols() == channels,
             "grid {}: x [{}, {}], y [{}, {}]", grid, x.rows(), channels, y.rows(), y.cols());
  MVLM_CHECK(weights.size() == channels * 9 && (bias.empty() || bias.size() == channels),
             "{} channels, {} weights, {} biases", channels, weights.size(), bias.size());

  AlignedBuffer<float> by_tap(9 * channels);  // [9, channels]: each tap's weights side by side
  for (size_t c = 0; c < channels; ++c) {
    for (size_t tap = 0; tap < 9; ++tap) by_tap.data()[tap * channels + c] = weights[c * 9 + tap];
  }
  const float* bias_or_null = bias.empty() ? nullptr : bias.data();

  ParallelRows(ctx, out_grid * out_grid, 9 * channels, [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      const size_t top = p / out_grid * stride;  // of the window, in the grid with one cell of padding
      const size_t left = p % out_grid * stride;
      const float* pixels[9];
      const float* taps[9];
      size_t count = 0;
      for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < 3; ++j) {
          const size_t row = top + i;
          const size_t col = left + j;
          if (row < 1 || row > grid || col < 1 || col > grid) continue;  // padding adds nothing
          pixels[count] = x.row((row - 1) * grid + (col - 1));
          taps[count++] = by_tap.data() + (i * 3 + j) * channels;
        }
      }
      ctx.kernels->weighted_sum(pixels, taps, count, bias_or_null, channels, y.row(p));
    }
  });
}

}  // namespace mobilevlm
