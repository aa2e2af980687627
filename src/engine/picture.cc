#include "engine/picture.h"

#include <algorithm>
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

Result<Image> ImageOfRgb(const Picture& picture) {
  const uint64_t width = picture.width > 0 ? static_cast<uint64_t>(picture.width) : 0;
  const uint64_t height = picture.height > 0 ? static_cast<uint64_t>(picture.height) : 0;
  // Both factors are below 2^31, so the product is exact; the bytes exist, so tripling it cannot matter.
  if (width * height == 0 || picture.rgb.size() % 3 != 0 || picture.rgb.size() / 3 != width * height) {
    return Fail("{}: wanted {} x {} pixels of 3 bytes, found {} bytes", picture.name, picture.width,
                picture.height, picture.rgb.size());
  }
  if (width * height > static_cast<uint64_t>(std::max<int64_t>(picture.max_pixels, 0))) {
    return Fail("{}: wanted at most {} pixels, found {} x {}", picture.name, picture.max_pixels,
                picture.width, picture.height);
  }
  Image image;
  image.width = picture.width;
  image.height = picture.height;
  image.rgb = picture.rgb;
  return image;
}

}  // namespace

Result<PictureBytes> PictureBytes::Read(const Picture& picture) {
  PictureBytes bytes(picture);
  if (picture.source == Picture::Source::kFile) {
    MVLM_ASSIGN(bytes.file_, ReadFile(picture.name, kLargestFile));
  }
  return bytes;
}

Hash128 PictureBytes::Hash() const {
  const bool rgb = picture_->source == Picture::Source::kRgb;
  const std::string& encoded = picture_->source == Picture::Source::kFile ? file_ : picture_->bytes;
  const Hash128 content =
      rgb ? HashBytes(picture_->rgb.data(), picture_->rgb.size()) : HashBytes(encoded.data(), encoded.size());
  const uint64_t all[] = {content.low,
                          content.high,
                          static_cast<uint64_t>(picture_->fit),
                          rgb || picture_->apply_exif,
                          rgb,
                          rgb ? static_cast<uint64_t>(picture_->width) : 0,
                          rgb ? static_cast<uint64_t>(picture_->height) : 0};
  return HashBytes(all, sizeof(all));
}

Result<Image> PictureBytes::Decode() const {
  if (picture_->source == Picture::Source::kRgb) return ImageOfRgb(*picture_);
  const bool is_file = picture_->source == Picture::Source::kFile;
  DecodeOptions options;
  options.apply_exif = picture_->apply_exif;
  options.max_pixels = picture_->max_pixels;
  return DecodeImage(std::as_bytes(std::span(is_file ? file_ : picture_->bytes)),
                     is_file && picture_->name == "-" ? "standard input" : picture_->name, options);
}

Result<Image> LoadPicture(const Picture& picture) {
  MVLM_ASSIGN(const PictureBytes bytes, PictureBytes::Read(picture));
  return bytes.Decode();
}

}  // namespace engine
}  // namespace mobilevlm
