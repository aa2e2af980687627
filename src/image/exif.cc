#include "image/exif.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"

namespace mobilevlm {
namespace {

using Bytes = std::span<const std::byte>;

bool StartsWith(Bytes bytes, std::string_view prefix) {
  return bytes.size() >= prefix.size() && std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

// The caller has checked that the bytes are there.
uint32_t ReadUnsigned(Bytes bytes, size_t offset, size_t size, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    const size_t at = big_endian ? i : size - 1 - i;
    value = value << 8 | std::to_integer<uint32_t>(bytes[offset + at]);
  }
  return value;
}

Bytes WithoutExifHeader(Bytes bytes) {
  constexpr std::string_view kHeader("Exif\0\0", 6);
  return StartsWith(bytes, kHeader) ? bytes.subspan(kHeader.size()) : bytes;
}

}  // namespace

int ExifOrientation(Bytes tiff) {
  constexpr uint32_t kOrientationTag = 0x0112;
  constexpr uint32_t kShort = 3;
  constexpr size_t kEntrySize = 12;
  const bool big_endian = StartsWith(tiff, std::string_view("MM\0*", 4));
  if (tiff.size() < 8 || (!big_endian && !StartsWith(tiff, std::string_view("II*\0", 4)))) return 1;
  const size_t directory = ReadUnsigned(tiff, 4, 4, big_endian);
  if (!RangeFits(directory, 2, tiff.size())) return 1;
  const size_t entries = ReadUnsigned(tiff, directory, 2, big_endian);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntrySize;
    if (!RangeFits(entry, kEntrySize, tiff.size())) return 1;
    if (ReadUnsigned(tiff, entry, 2, big_endian) != kOrientationTag) continue;
    if (ReadUnsigned(tiff, entry + 2, 2, big_endian) != kShort) return 1;
    const uint32_t value = ReadUnsigned(tiff, entry + 8, 2, big_endian);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Bytes FindJpegExif(Bytes jpeg) {
  constexpr uint32_t kApp1 = 0xE1;
  constexpr uint32_t kStartOfScan = 0xDA;
  size_t at = 2;  // after the start-of-image marker
  while (RangeFits(at, 4, jpeg.size()) && jpeg[at] == std::byte{0xFF}) {
    const uint32_t marker = std::to_integer<uint32_t>(jpeg[at + 1]);
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    if (marker == kStartOfScan) break;
    const size_t size = ReadUnsigned(jpeg, at + 2, 2, true);  // with its own two bytes
    if (size < 2 || !RangeFits(at + 2, size, jpeg.size())) break;
    const Bytes segment = jpeg.subspan(at + 4, size - 2);
    if (marker == kApp1 && StartsWith(segment, std::string_view("Exif\0\0", 6))) {
      return WithoutExifHeader(segment);
    }
    at += 2 + size;
  }
  return {};
}

Bytes FindWebpExif(Bytes webp) {
  size_t at = 12;  // after RIFF, the size and WEBP
  while (RangeFits(at, 8, webp.size())) {
    const size_t size = ReadUnsigned(webp, at + 4, 4, false);
    if (!RangeFits(at + 8, size, webp.size())) break;
    if (StartsWith(webp.subspan(at), "EXIF")) return WithoutExifHeader(webp.subspan(at + 8, size));
    at += 8 + size + size % 2;
  }
  return {};
}

Image ApplyOrientation(Image image, int orientation) {
  MVLM_CHECK(orientation >= 1 && orientation <= 8, "orientation {}", orientation);
  if (orientation == 1) return image;
  const bool swap_axes = orientation >= 5;
  Image out(swap_axes ? image.height : image.width, swap_axes ? image.width : image.height);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      int from_x = swap_axes ? y : x;
      int from_y = swap_axes ? x : y;
      // 2 mirror, 3 turn by 180, 4 flip, 5 transpose, 6 turn right, 7 transverse, 8 turn left.
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
        from_x = image.width - 1 - from_x;
      }
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
        from_y = image.height - 1 - from_y;
      }
      std::copy_n(std::as_const(image).at(from_x, from_y), 3, out.at(x, y));
    }
  }
  return out;
}

}  // namespace mobilevlm
