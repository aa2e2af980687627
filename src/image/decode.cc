#include "image/decode.h"

#include <cstring>
#include <string_view>

#include "base/read_file.h"
#include "image/decode_formats.h"
#include "image/exif.h"

namespace mobilevlm {
namespace {

using Bytes = std::span<const std::byte>;

bool HasAt(Bytes bytes, size_t offset, std::string_view magic) {
  return bytes.size() >= offset + magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

// The name of a picture format that is recognised but not read; null if it is none.
const char* UnsupportedFormat(Bytes bytes) {
  if (HasAt(bytes, 4, "ftyp")) {
    if (HasAt(bytes, 8, "avi")) return "AVIF";  // avif, avis
    for (const char* brand : {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"}) {
      if (HasAt(bytes, 8, brand)) return "HEIC";
    }
    return nullptr;
  }
  if (HasAt(bytes, 0, "GIF8")) return "GIF";
  if (HasAt(bytes, 0, "BM")) return "BMP";
  if (HasAt(bytes, 0, std::string_view("II*\0", 4)) || HasAt(bytes, 0, std::string_view("MM\0*", 4))) {
    return "TIFF";
  }
  if (HasAt(bytes, 0, "\xFF\x0A") || HasAt(bytes, 4, "JXL ")) return "JPEG XL";
  return nullptr;
}

Result<DecodedImage> DecodeAnyFormat(Bytes bytes, const DecodeOptions& options) {
  if (bytes.empty()) return Fail("the file is empty");
  if (HasAt(bytes, 0, "\xFF\xD8\xFF")) return DecodeJpeg(bytes, options);
  if (HasAt(bytes, 0, "\x89PNG\r\n\x1A\n")) return DecodePng(bytes, options);
  if (HasAt(bytes, 0, "RIFF") && HasAt(bytes, 8, "WEBP")) return DecodeWebp(bytes, options);
  if (const char* format = UnsupportedFormat(bytes)) {
    return Fail("{} pictures are not supported; convert it to JPEG, PNG or WebP", format);
  }
  return Fail("not a JPEG, PNG or WebP picture");
}

}  // namespace

Status CheckImageSize(int64_t width, int64_t height, const DecodeOptions& options) {
  if (width < 1 || height < 1) return Fail("the picture is {} x {} pixels", width, height);
  if (width > options.max_side || height > options.max_side || width * height > options.max_pixels) {
    return Fail("{} x {} pixels are too many (at most {} in all and {} a side)", width, height,
                options.max_pixels, options.max_side);
  }
  return {};
}

Result<Image> DecodeImage(Bytes bytes, const std::string& name, const DecodeOptions& options) {
  Result<DecodedImage> decoded = DecodeAnyFormat(bytes, options);
  if (!decoded) return Context(decoded.error(), "{}", name);
  if (!options.apply_exif) return std::move(decoded->image);
  return ApplyOrientation(std::move(decoded->image), decoded->orientation);
}

Result<Image> LoadImage(const std::string& path, const DecodeOptions& options) {
  constexpr uint64_t kMaxFileSize = uint64_t{1} << 30;
  MVLM_ASSIGN(const std::string bytes, ReadFile(path, kMaxFileSize));
  return DecodeImage(std::as_bytes(std::span(bytes)), path == "-" ? "standard input" : path, options);
}

}  // namespace mobilevlm
