#include <turbojpeg.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "base/checked_math.h"
#include "image/decode_formats.h"
#include "image/exif.h"

namespace mobilevlm {
namespace {

struct DestroyHandle {
  void operator()(void* handle) const { tjDestroy(handle); }
};

// True if the picture has an end-of-image marker after its segments and scans. libjpeg fills what a truncated
// file lacks with grey and only warns, if it has not already warned about something else.
bool IsComplete(std::span<const std::byte> bytes) {
  constexpr uint32_t kStartOfImage = 0xD8;
  constexpr uint32_t kEndOfImage = 0xD9;
  size_t at = 0;
  while (RangeFits(at, 2, bytes.size())) {
    if (bytes[at] != std::byte{0xFF}) {  // a scan's data
      const void* next = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
      if (next == nullptr) return false;
      at = static_cast<size_t>(static_cast<const std::byte*>(next) - bytes.data());
      continue;
    }
    const auto marker = std::to_integer<uint32_t>(bytes[at + 1]);
    if (marker == kEndOfImage) return true;
    const bool is_fill = marker == 0xFF;
    const bool is_alone =
        marker <= 0x01 || (marker >= 0xD0 && marker <= kStartOfImage);  // stuffing, restarts
    at += is_fill ? 1 : 2;
    if (is_fill || is_alone) continue;
    if (!RangeFits(at, 2, bytes.size())) return false;
    at += std::to_integer<size_t>(bytes[at]) << 8 | std::to_integer<size_t>(bytes[at + 1]);
  }
  return false;
}

}  // namespace

// The settings are libjpeg-turbo's defaults, which Pillow uses: the accurate integer DCT and smooth
// ("fancy") chroma upsampling.
Result<DecodedImage> DecodeJpeg(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const std::unique_ptr<void, DestroyHandle> handle(tjInitDecompress());
  if (!handle) return Fail("JPEG: {}", tjGetErrorStr2(nullptr));
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());

  int width = 0;
  int height = 0;
  int subsampling = -1;
  int colour_space = -1;
  // An unusual chroma subsampling fails here too, but decodes: what counts is that the size is known.
  const int status =
      tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colour_space);
  if (width < 1 || height < 1 || colour_space < 0) {
    return Fail("JPEG: {}", status != 0 ? tjGetErrorStr2(handle.get()) : "it holds no picture");
  }
  if (!IsComplete(bytes)) return Fail("JPEG: the file is truncated");
  MVLM_TRY(CheckImageSize(width, height, options));
  if (colour_space == TJCS_CMYK || colour_space == TJCS_YCCK) {
    return Fail("JPEG: CMYK pictures are not supported; convert it to RGB");
  }

  DecodedImage decoded{Image(width, height)};
  const int flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
  if (tjDecompress2(handle.get(), data, size, decoded.image.rgb.data(), width, 0, height, TJPF_RGB, flags) !=
      0) {
    // Warnings: like Pillow, accept harmless oddities such as padding before a marker.
    const std::string_view message = tjGetErrorStr2(handle.get());
    const bool is_incomplete = message.find("remature end") != std::string_view::npos;
    if (tjGetErrorCode(handle.get()) == TJERR_FATAL || is_incomplete) return Fail("JPEG: {}", message);
  }
  decoded.orientation = ExifOrientation(FindJpegExif(bytes));
  return decoded;
}

}  // namespace mobilevlm
