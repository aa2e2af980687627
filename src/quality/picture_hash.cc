#include "quality/picture_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "image/resize_bicubic.h"

namespace mobilevlm::quality {
namespace {

constexpr int kSide = 32;      // of the grey version whose frequencies are taken
constexpr int kLowest = 8;     // frequencies a direction, without the constant one
constexpr float kFlat = 2.0f;  // standard deviation of grey values

template <int kCells>
std::array<float, kCells> Grey(const Image& small) {
  std::array<float, kCells> grey;
  for (size_t i = 0; i < kCells; ++i) {
    grey[i] = 0.299f * static_cast<float>(small.rgb[3 * i]) +
              0.587f * static_cast<float>(small.rgb[3 * i + 1]) +
              0.114f * static_cast<float>(small.rgb[3 * i + 2]);
  }
  return grey;
}

// cos((2 x + 1) u pi / 2n) for u = 1..8: [8, 32]
std::array<float, kLowest * kSide> Cosines() {
  std::array<float, kLowest * kSide> table;
  for (int u = 0; u < kLowest; ++u) {
    for (int x = 0; x < kSide; ++x) {
      table[static_cast<size_t>(u * kSide + x)] =
          static_cast<float>(std::cos((2 * x + 1) * (u + 1) * std::numbers::pi / (2 * kSide)));
    }
  }
  return table;
}

// Signs of the lowest frequencies (discrete cosine transform) against their median.
uint64_t FrequencyHash(const std::array<float, kSide * kSide>& grey) {
  static const std::array<float, kLowest* kSide> cosines = Cosines();
  std::array<float, kSide* kLowest> rows = {};  // [y, u]
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t u = 0; u < kLowest; ++u) {
      for (size_t x = 0; x < kSide; ++x)
        rows[y * kLowest + u] += grey[y * kSide + x] * cosines[u * kSide + x];
    }
  }
  std::array<float, kLowest* kLowest> low = {};  // [v, u]
  for (size_t v = 0; v < kLowest; ++v) {
    for (size_t y = 0; y < kSide; ++y) {
      for (size_t u = 0; u < kLowest; ++u)
        low[v * kLowest + u] += cosines[v * kSide + y] * rows[y * kLowest + u];
    }
  }
  std::array<float, kLowest* kLowest> sorted = low;
  std::nth_element(sorted.begin(), sorted.begin() + 32, sorted.end());
  uint64_t hash = 0;
  for (size_t i = 0; i < low.size(); ++i) hash |= uint64_t{low[i] > sorted[32]} << i;
  return hash;
}

}  // namespace

PictureHash HashPicture(const Image& picture) {
  PictureHash hash;
  hash.width = static_cast<uint32_t>(picture.width);
  hash.height = static_cast<uint32_t>(picture.height);
  hash.content = HashBytes(picture.rgb.data(), picture.rgb.size());
  hash.content.high ^= (uint64_t{hash.width} << 32 | hash.height) * 0x9E3779B97F4A7C15ull;

  const Image small = ResizeBicubic(picture, kSide, kSide);
  const auto grey = Grey<kSide * kSide>(small);
  hash.frequency = FrequencyHash(grey);
  std::array<uint32_t, 3> sum = {};
  for (size_t i = 0; i < small.rgb.size(); ++i) sum[i % 3] += small.rgb[i];
  for (size_t c = 0; c < 3; ++c) hash.mean[c] = static_cast<uint8_t>(sum[c] / (kSide * kSide));
  float mean = 0, square = 0;
  for (const float g : grey) {
    mean += g / (kSide * kSide);
    square += g * g / (kSide * kSide);
  }
  hash.flat = square - mean * mean < kFlat * kFlat;

  const auto cells = Grey<9 * 8>(ResizeBicubic(small, 9, 8));
  for (size_t y = 0; y < 8; ++y) {
    for (size_t x = 0; x < 8; ++x) {
      hash.gradient |= uint64_t{cells[y * 9 + x] < cells[y * 9 + x + 1]} << (y * 8 + x);
    }
  }
  return hash;
}

bool LookTheSame(const PictureHash& a, const PictureHash& b, int distance) {
  if (a.content == b.content) return true;
  if (a.flat != 0 || b.flat != 0) return false;
  if (std::popcount(a.frequency ^ b.frequency) > distance) return false;
  if (std::popcount(a.gradient ^ b.gradient) > 2 * distance) return false;
  for (size_t c = 0; c < 3; ++c) {
    if (std::abs(int{a.mean[c]} - int{b.mean[c]}) > 12) return false;
  }
  const double x = static_cast<double>(a.width) * b.height, y = static_cast<double>(b.width) * a.height;
  return std::min(x, y) >= 0.92 * std::max(x, y);
}

}  // namespace mobilevlm::quality
