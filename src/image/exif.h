// The one EXIF field that matters here: how the camera was held.
#pragma once

#include <cstddef>
#include <span>

#include "image/image.h"

namespace mobilevlm {

// Orientation of a TIFF block (what follows "Exif\0\0" in a JPEG), 1..8; 1 if absent or malformed.
int ExifOrientation(std::span<const std::byte> tiff);

// Where the TIFF block is; empty if there is none.
std::span<const std::byte> FindJpegExif(std::span<const std::byte> jpeg);
std::span<const std::byte> FindWebpExif(std::span<const std::byte> webp);

// The picture as it should be seen: orientation 1..8 as EXIF (tag 0x0112) and PIL's exif_transpose.
Image ApplyOrientation(Image image, int orientation);

}  // namespace mobilevlm
