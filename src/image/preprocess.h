// From a decoded picture to the vision tower's input, equal to Pillow + CLIPImageProcessor to the bit.
//
// kPad  (all released MobileVLM models): pad to a square with the colour int(mean * 255), picture
//       centred with floor division, then resize to size x size (bicubic, antialiased).
// kCrop (stage 1 training, ScienceQA): resize the shortest side to `size`, then centre-crop.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "image/image.h"

namespace mobilevlm {

enum class ImageMode { kPad, kCrop };

std::optional<ImageMode> ParseImageMode(std::string_view name);  // "pad", "crop"

// The uint8 picture the model sees: [size, size, 3]. `mean` (three values in 0..1) gives the pad colour.
Image ResizeForModel(const Image& picture, int size, ImageMode mode, std::span<const float, 3> mean);

// out[c, y, x] = (rgb / 255 - mean[c]) / std[c], planar as the patch convolution wants it; `out` has
// 3 * width * height elements.
void Normalise(const Image& picture, std::span<const float, 3> mean, std::span<const float, 3> std,
               std::span<float> out);

}  // namespace mobilevlm
