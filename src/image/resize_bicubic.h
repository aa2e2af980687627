// Pillow's bicubic resize (Image.resize with BICUBIC; ImagingResample in Resample.c), equal to the bit.
//
// The filter is Keys' cubic with a = -0.5. When shrinking it is stretched by the scale (antialiasing), its
// weights are rounded to 22 fractional bits, and the rows are resampled horizontally and rounded to 8 bits
// before columns are resampled. Only the wanted window of the result is computed, and a border around the
// picture is never materialised: time and memory follow the picture's own pixels, however long and thin it
// is.
#pragma once

#include <array>
#include <cstdint>

#include "image/image.h"

namespace mobilevlm {

// What is resized: `picture` at (left, top) on a canvas of one colour. The picture lies inside the canvas.
struct Canvas {
  const Image& picture;
  int width;
  int height;
  int left = 0;
  int top = 0;
  std::array<uint8_t, 3> border = {0, 0, 0};
};

// Which part of the resized canvas is wanted. It lies inside [scaled_height, scaled_width].
struct ResizeWindow {
  int64_t scaled_width;
  int64_t scaled_height;
  int64_t left = 0;
  int64_t top = 0;
  int width;
  int height;
};

Image ResizeBicubic(const Canvas& canvas, const ResizeWindow& window);

// The whole picture to width x height.
Image ResizeBicubic(const Image& picture, int width, int height);

}  // namespace mobilevlm
