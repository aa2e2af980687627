// libFuzzer target: any bytes are an Error or a picture of the size that it says, EXIF applied.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "image/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  constexpr int64_t kPixels = 1 << 20;  // larger ones are slow and show nothing new
  const DecodeOptions options{.apply_exif = true, .max_pixels = kPixels};
  const Result<Image> image = DecodeImage(std::as_bytes(std::span(data, size)), "fuzz", options);
  if (!image) return 0;
  MVLM_CHECK(image->width > 0 && image->height > 0);
  MVLM_CHECK(image->rgb.size() ==
             size_t{3} * static_cast<size_t>(image->width) * static_cast<size_t>(image->height));
  return 0;
}
