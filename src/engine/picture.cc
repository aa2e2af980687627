#include "engine/picture.h"

#include <cstdint>
#include <span>
#include <string>

#include "base/read_file.h"
#include "image/decode.h"

namespace mobilevlm {

Picture Picture::FromFile(std::string path) {
  Picture picture;
  picture.source = Source::kFile;
  picture.name = std::move(path);
  return picture;
}

Picture Picture::FromBytes(std::string encoded, std::string name) {
  Picture picture;
  picture.source = Source::kBytes;
  picture.name = std::move(name);
  picture.bytes = std::move(encoded);
  return picture;
}

Picture Picture::FromRgb(int width, int height, std::vector<uint8_t> rgb) {
  Picture picture;
  picture.source = Source::kRgb;
  picture.name = "picture";
  picture.rgb = std::move(rgb);
  picture.width = width;
  picture.height = height;
  return picture;
}

namespace engine {
namespace {

constexpr uint64_t kLargestFile = uint64_t{1} << 30;

Result<Image> Decode(const std::string& bytes, const std::string& name, bool apply_exif) {
  DecodeOptions options;
  options.apply_exif = apply_exif;
  return DecodeImage(std::as_bytes(std::span(bytes)), name, options);
}

}  // namespace

Result<Image> LoadPicture(const Picture& picture) {
  switch (picture.source) {
    case Picture::Source::kFile: {
      MVLM_ASSIGN(const std::string bytes, ReadFile(picture.name, kLargestFile));
      return Decode(bytes, picture.name == "-" ? "standard input" : picture.name, picture.apply_exif);
    }
    case Picture::Source::kBytes:
      return Decode(picture.bytes, picture.name, picture.apply_exif);
    case Picture::Source::kRgb:
      break;
  }
  const uint64_t width = picture.width > 0 ? static_cast<uint64_t>(picture.width) : 0;
  const uint64_t height = picture.height > 0 ? static_cast<uint64_t>(picture.height) : 0;
  // Both factors are below 2^31, so the product is exact; the bytes exist, so tripling it cannot matter.
  if (width * height == 0 || picture.rgb.size() % 3 != 0 || picture.rgb.size() / 3 != width * height) {
    return Fail("{}: wanted {} x {} pixels of 3 bytes, found {} bytes", picture.name, picture.width,
                picture.height, picture.rgb.size());
  }
  Image image;
  image.width = picture.width;
  image.height = picture.height;
  image.rgb = picture.rgb;
  return image;
}

}  // namespace engine
}  // namespace mobilevlm
