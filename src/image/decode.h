// Pictures from JPEG, PNG and WebP bytes, with the pixels that Pillow's convert("RGB") gives: grey is
// replicated, a palette looked up, alpha dropped (not blended). 16-bit samples keep their high byte, grey
// ones too (Pillow would clip those to white).
//
// The size is checked before pixels are allocated. Truncated and corrupt files, animated WebP, CMYK JPEG
// and other formats are an Error that names the file and the reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "image/image.h"

namespace mobilevlm {

struct DecodeOptions {
  // Turn the picture as its EXIF orientation says. The reference code does not, so evaluation must not.
  bool apply_exif = false;
  // Beyond this Pillow warns of a decompression bomb.
  int64_t max_pixels = 178'956'970;
  int max_side = 1 << 20;
};

// `name` is for messages only.
Result<Image> DecodeImage(std::span<const std::byte> bytes, const std::string& name,
                          const DecodeOptions& options = {});

// Reads the file ("-" is standard input) and decodes it.
Result<Image> LoadImage(const std::string& path, const DecodeOptions& options = {});

}  // namespace mobilevlm
