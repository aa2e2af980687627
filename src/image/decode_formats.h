// One decoder for each format. Private to this folder; use image/decode.h.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "image/decode.h"
#include "image/image.h"

namespace mobilevlm {

struct DecodedImage {
  Image image;
  int orientation = 1;  // EXIF's, 1..8; 1 if there is none
};

// An Error unless a picture of this size may be allocated.
Status CheckImageSize(int64_t width, int64_t height, const DecodeOptions& options);

Result<DecodedImage> DecodeJpeg(std::span<const std::byte> bytes, const DecodeOptions& options);
Result<DecodedImage> DecodePng(std::span<const std::byte> bytes, const DecodeOptions& options);
Result<DecodedImage> DecodeWebp(std::span<const std::byte> bytes, const DecodeOptions& options);

}  // namespace mobilevlm
