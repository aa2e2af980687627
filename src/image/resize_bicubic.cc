#include "image/resize_bicubic.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // PRECISION_BITS of Resample.c
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);
constexpr double kSupport = 2.0;  // of the cubic filter

double CubicFilter(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

uint8_t Clip8(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

// The weights of one axis: output position i is the sum over its taps of weight * input, where the input
// is the picture's positions [begin, end) and everything that falls on the border in one weight.
struct Axis {
  struct Taps {
    int begin;
    int end;
    size_t weights;  // index of the weight of `begin`
    int32_t border;  // sum of the weights of positions outside of the picture
    int32_t total;   // sum of all weights
  };
  std::vector<Taps> taps;
  std::vector<int32_t> weights;
};

// precompute_coeffs and normalize_coeffs_8bpc of Resample.c for output positions [first, first + count) of
// `out_size`; the picture covers [offset, offset + size) of the `in_size` input positions.
Axis MakeAxis(int in_size, int64_t out_size, int64_t first, int count, int offset, int size) {
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = kSupport * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Axis axis;
  axis.taps.reserve(static_cast<size_t>(count));
  std::vector<double> exact;
  for (int64_t out = first; out < first + count; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const auto low = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto high = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in_size);
    exact.clear();
    double sum = 0;
    for (int64_t x = low; x < high; ++x) {
      // Parentheses as in the original: x + xmin - center + 0.5, summed from the left.
      exact.push_back(CubicFilter((static_cast<double>(x) - center + 0.5) * inverse));
      sum += exact.back();
    }
    Axis::Taps taps{size, 0, axis.weights.size(), 0, 0};
    for (int64_t x = low; x < high; ++x) {
      double weight = exact[static_cast<size_t>(x - low)];
      if (sum != 0.0) weight /= sum;
      const auto fixed = static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kPrecisionBits));
      taps.total += fixed;
      const int64_t in_picture = x - offset;
      if (in_picture < 0 || in_picture >= size) {
        taps.border += fixed;
      } else {
        taps.begin = std::min(taps.begin, static_cast<int>(in_picture));
        taps.end = static_cast<int>(in_picture) + 1;
        axis.weights.push_back(fixed);
      }
    }
    taps.begin = std::min(taps.begin, taps.end);  // none of the picture: [0, 0)
    axis.taps.push_back(taps);
  }
  return axis;
}

// One row of the picture to some columns of the result: row [width, 3] -> out [columns, 3].
void ResampleRow(const uint8_t* row, const Axis& axis, std::span<const Axis::Taps> columns,
                 const std::array<uint8_t, 3>& border, uint8_t* out) {
  for (const Axis::Taps& taps : columns) {
    int32_t r = kHalf + border[0] * taps.border;
    int32_t g = kHalf + border[1] * taps.border;
    int32_t b = kHalf + border[2] * taps.border;
    const int32_t* weight = axis.weights.data() + taps.weights;
    const uint8_t* end = row + static_cast<size_t>(taps.end) * 3;
    for (const uint8_t* in = row + static_cast<size_t>(taps.begin) * 3; in != end; in += 3, ++weight) {
      r += in[0] * *weight;
      g += in[1] * *weight;
      b += in[2] * *weight;
    }
    *out++ = Clip8(r);
    *out++ = Clip8(g);
    *out++ = Clip8(b);
  }
}

// The outputs [first, second) that see the picture; the others see only border.
std::pair<size_t, size_t> TouchedColumns(const Axis& columns) {
  const auto touched = [](const Axis::Taps& taps) { return taps.begin < taps.end; };
  const auto begin = std::find_if(columns.taps.begin(), columns.taps.end(), touched);
  const auto end = std::find_if_not(begin, columns.taps.end(), touched);
  return {begin - columns.taps.begin(), end - columns.taps.begin()};
}

void Accumulate(const uint8_t* row, int32_t weight, size_t count, int32_t* sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
}

}  // namespace

Image ResizeBicubic(const Canvas& canvas, const ResizeWindow& window) {
  const Image& picture = canvas.picture;
  MVLM_CHECK(picture.width > 0 && picture.height > 0 && canvas.left >= 0 && canvas.top >= 0 &&
             canvas.left + picture.width <= canvas.width && canvas.top + picture.height <= canvas.height);
  MVLM_CHECK(window.width > 0 && window.height > 0 && window.left >= 0 && window.top >= 0 &&
             window.left + window.width <= window.scaled_width &&
             window.top + window.height <= window.scaled_height);
  const Axis columns =
      MakeAxis(canvas.width, window.scaled_width, window.left, window.width, canvas.left, picture.width);
  const Axis rows =
      MakeAxis(canvas.height, window.scaled_height, window.top, window.height, canvas.top, picture.height);
  const size_t row_size = static_cast<size_t>(window.width) * 3;

  // A row of nothing but border after the horizontal pass.
  std::vector<uint8_t> row(row_size);
  for (size_t i = 0; i < row_size; ++i) {
    row[i] = Clip8(kHalf + canvas.border[i % 3] * columns.taps[i / 3].total);
  }
  std::vector<int32_t> sums(row_size * static_cast<size_t>(window.height));  // [window.height, row_size]
  const auto [begin, end] = TouchedColumns(columns);
  for (size_t y = 0; y < rows.taps.size(); ++y) {
    int32_t* sum = sums.data() + y * row_size;
    for (size_t i = 0; i < row_size; ++i) {
      const bool is_touched = i >= begin * 3 && i < end * 3;
      sum[i] = kHalf + row[i] * (is_touched ? rows.taps[y].border : rows.taps[y].total);
    }
  }

  // Each row of the picture is resampled once and added to every output row that it touches; the taps'
  // begins and ends never decrease from one output row to the next.
  const std::span touched = std::span(columns.taps).subspan(begin, end - begin);
  size_t first = 0;
  for (int y = 0; y < picture.height; ++y) {
    while (first < rows.taps.size() && rows.taps[first].end <= y) ++first;
    if (first == rows.taps.size() || rows.taps[first].begin > y) continue;
    ResampleRow(picture.at(0, y), columns, touched, canvas.border, row.data());
    for (size_t out = first; out < rows.taps.size() && rows.taps[out].begin <= y; ++out) {
      const Axis::Taps& taps = rows.taps[out];
      if (taps.end <= y) continue;
      const int32_t weight = rows.weights[taps.weights + static_cast<size_t>(y - taps.begin)];
      Accumulate(row.data(), weight, touched.size() * 3, sums.data() + out * row_size + begin * 3);
    }
  }

  Image result(window.width, window.height);
  std::transform(sums.begin(), sums.end(), result.rgb.begin(), Clip8);
  return result;
}

Image ResizeBicubic(const Image& picture, int width, int height) {
  const Canvas canvas{picture, picture.width, picture.height};
  return ResizeBicubic(canvas,
                       {.scaled_width = width, .scaled_height = height, .width = width, .height = height});
}

}  // namespace mobilevlm
