#include "image/preprocess.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "image/resize_bicubic.h"

namespace mobilevlm {
namespace {

// expand2square of mobilevlm/utils.py, then CLIPImageProcessor's resize (its crop does nothing here).
Image PadAndResize(const Image& picture, int size, std::span<const float, 3> mean) {
  const int side = std::max(picture.width, picture.height);
  Canvas canvas{picture, side, side, (side - picture.width) / 2, (side - picture.height) / 2};
  for (size_t c = 0; c < 3; ++c) {
    canvas.border[c] = static_cast<uint8_t>(std::clamp(static_cast<double>(mean[c]) * 255, 0.0, 255.0));
  }
  return ResizeBicubic(canvas, {.scaled_width = size, .scaled_height = size, .width = size, .height = size});
}

// CLIPImageProcessor: the shortest edge to `size`, the other to int(size * long / short), centre crop.
Image ResizeAndCrop(const Image& picture, int size) {
  const auto scaled = [&](int edge, int shortest) {
    return static_cast<int64_t>(static_cast<double>(int64_t{size} * edge) / shortest);
  };
  const int shortest = std::min(picture.width, picture.height);
  ResizeWindow window{.scaled_width = scaled(picture.width, shortest),
                      .scaled_height = scaled(picture.height, shortest),
                      .width = size,
                      .height = size};
  window.left = (window.scaled_width - size) / 2;
  window.top = (window.scaled_height - size) / 2;
  return ResizeBicubic(Canvas{picture, picture.width, picture.height}, window);
}

}  // namespace

std::optional<ImageMode> ParseImageMode(std::string_view name) {
  if (name == "pad") return ImageMode::kPad;
  if (name == "crop") return ImageMode::kCrop;
  return std::nullopt;
}

Image ResizeForModel(const Image& picture, int size, ImageMode mode, std::span<const float, 3> mean) {
  MVLM_CHECK(picture.width > 0 && picture.height > 0 && size > 0);
  return mode == ImageMode::kPad ? PadAndResize(picture, size, mean) : ResizeAndCrop(picture, size);
}

void Normalise(const Image& picture, std::span<const float, 3> mean, std::span<const float, 3> std,
               std::span<float> out) {
  const size_t pixels = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  MVLM_CHECK(out.size() == 3 * pixels, "wanted {} floats, found {}", 3 * pixels, out.size());
  for (size_t c = 0; c < 3; ++c) {
    // CLIPImageProcessor: rescale in double, rounded to float32; then float32.
    std::array<float, 256> value;
    for (size_t v = 0; v < 256; ++v) {
      const auto rescaled = static_cast<float>(static_cast<double>(v) * (1.0 / 255));
      value[v] = (rescaled - mean[c]) / std[c];
    }
    for (size_t i = 0; i < pixels; ++i) out[c * pixels + i] = value[picture.rgb[3 * i + c]];
  }
}

}  // namespace mobilevlm
