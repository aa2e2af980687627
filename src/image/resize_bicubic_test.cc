#include "image/resize_bicubic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace mobilevlm {
namespace {

Image RandomImage(int width, int height, uint64_t seed) {
  Image image(width, height);
  Random random(seed);
  // Extremes make the filter overshoot, so that clipping is exercised.
  for (uint8_t& value : image.rgb)
    value = static_cast<uint8_t>(random.Chance(0.5) ? random.Below(2) * 255 : random.Below(256));
  return image;
}

double Cubic(double x) {
  x = std::fabs(x);
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  return x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

// The definition in real numbers: a separable stretched cubic, rounded to 8 bits after each pass.
std::vector<double> ResizeLine(const std::vector<double>& in, int size) {
  std::vector<double> out;
  const double scale = static_cast<double>(in.size()) / size;
  const double stretch = std::max(scale, 1.0);
  for (int i = 0; i < size; ++i) {
    double sum = 0;
    double total = 0;
    for (size_t x = 0; x < in.size(); ++x) {
      const double weight = Cubic((static_cast<double>(x) + 0.5 - (i + 0.5) * scale) / stretch);
      sum += weight * in[x];
      total += weight;
    }
    out.push_back(std::clamp(std::floor(sum / total + 0.5), 0.0, 255.0));
  }
  return out;
}

Image ResizeByDefinition(const Image& in, int width, int height) {
  Image middle(width, in.height);
  Image out(width, height);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < in.height; ++y) {
      std::vector<double> line;
      for (int x = 0; x < in.width; ++x) line.push_back(in.at(x, y)[c]);
      line = ResizeLine(line, width);
      for (int x = 0; x < width; ++x) middle.at(x, y)[c] = static_cast<uint8_t>(line[static_cast<size_t>(x)]);
    }
    for (int x = 0; x < width; ++x) {
      std::vector<double> line;
      for (int y = 0; y < in.height; ++y) line.push_back(middle.at(x, y)[c]);
      line = ResizeLine(line, height);
      for (int y = 0; y < height; ++y) out.at(x, y)[c] = static_cast<uint8_t>(line[static_cast<size_t>(y)]);
    }
  }
  return out;
}

// Fixed point may round a tie the other way, and the second pass sees it: off by one, and rarely. The
// golden pictures of preprocess_test are equal to the bit.
TEST(ResizeBicubic, FollowsTheDefinition) {
  const int sizes[][4] = {{1, 1, 1, 1},  {1, 1, 5, 3},    {5, 3, 1, 1},   {7, 7, 7, 7},   {16, 9, 16, 4},
                          {16, 9, 5, 9}, {31, 17, 13, 8}, {8, 8, 64, 33}, {50, 3, 3, 50}, {64, 64, 63, 65}};
  for (const auto& [width, height, to_width, to_height] : sizes) {
    const Image in = RandomImage(width, height, 1);
    const Image wanted = ResizeByDefinition(in, to_width, to_height);
    const Image found = ResizeBicubic(in, to_width, to_height);
    ASSERT_EQ(found.rgb.size(), wanted.rgb.size());
    size_t different = 0;
    for (size_t i = 0; i < wanted.rgb.size(); ++i) {
      ASSERT_NEAR(found.rgb[i], wanted.rgb[i], 1);
      different += found.rgb[i] != wanted.rgb[i];
    }
    EXPECT_LE(different, 1 + wanted.rgb.size() / 500) << width << "x" << height;
  }
}

TEST(ResizeBicubic, SameSizeIsACopy) {
  const Image in = RandomImage(23, 11, 2);
  EXPECT_EQ(ResizeBicubic(in, 23, 11).rgb, in.rgb);
}

TEST(ResizeBicubic, AConstantPictureStaysConstant) {
  for (const int value : {0, 1, 127, 254, 255}) {
    Image in(40, 30);
    std::fill(in.rgb.begin(), in.rgb.end(), static_cast<uint8_t>(value));
    for (const int size : {1, 7, 40, 111}) {
      for (const uint8_t found : ResizeBicubic(in, size, size).rgb) ASSERT_EQ(found, value);
    }
  }
}

TEST(ResizeBicubic, AWindowIsACutOutOfTheWhole) {
  const Image in = RandomImage(37, 53, 3);
  const Image whole = ResizeBicubic(in, 60, 20);
  const ResizeWindow window{
      .scaled_width = 60, .scaled_height = 20, .left = 11, .top = 5, .width = 17, .height = 9};
  const Image part = ResizeBicubic(Canvas{in, in.width, in.height}, window);
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 17; ++x) {
      for (int c = 0; c < 3; ++c) ASSERT_EQ(part.at(x, y)[c], whole.at(x + 11, y + 5)[c]);
    }
  }
}

}  // namespace
}  // namespace mobilevlm
