#include <webp/decode.h>

#include "image/decode_formats.h"
#include "image/exif.h"

namespace mobilevlm {
namespace {

const char* Describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "unsupported feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the file is truncated";
    default:
      return "the file is corrupt";
  }
}

}  // namespace

Result<DecodedImage> DecodeWebp(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return Fail("WebP: the library's version does not match");
  if (const VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &config.input);
      status != VP8_STATUS_OK) {
    return Fail("WebP: {}", Describe(status));
  }
  MVLM_TRY(CheckImageSize(config.input.width, config.input.height, options));
  if (config.input.has_animation) return Fail("WebP: animated pictures are not supported");

  DecodedImage decoded{Image(config.input.width, config.input.height)};
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = decoded.image.rgb.data();
  config.output.u.RGBA.stride = config.input.width * 3;
  config.output.u.RGBA.size = decoded.image.rgb.size();
  const VP8StatusCode status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return Fail("WebP: {}", Describe(status));
  decoded.orientation = ExifOrientation(FindWebpExif(bytes));
  return decoded;
}

}  // namespace mobilevlm
