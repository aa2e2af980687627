#include "bench/sample_picture.h"

#include <turbojpeg.h>

#include <algorithm>
#include <memory>

#include "base/random.h"

namespace mobilevlm::bench {
namespace {

void FillRectangle(Image& picture, int left, int top, int width, int height, const uint8_t (&colour)[3]) {
  for (int y = top; y < std::min(top + height, picture.height); ++y) {
    for (int x = left; x < std::min(left + width, picture.width); ++x)
      std::copy_n(colour, 3, picture.at(x, y));
  }
}

}  // namespace

Image SamplePicture() {
  Image picture(640, 488);
  Random random(488);
  for (int y = 0; y < picture.height; ++y) {  // sky to ground
    for (int x = 0; x < picture.width; ++x) {
      uint8_t* pixel = picture.at(x, y);
      pixel[0] = static_cast<uint8_t>(90 + x * 80 / picture.width);
      pixel[1] = static_cast<uint8_t>(190 - y * 90 / picture.height);
      pixel[2] = static_cast<uint8_t>(230 - y * 180 / picture.height);
    }
  }
  constexpr int kRectangles = 60;
  for (int i = 0; i < kRectangles; ++i) {
    uint8_t colour[3];
    for (uint8_t& channel : colour) channel = static_cast<uint8_t>(random.Below(256));
    const int left = random.Between(0, picture.width - 1);
    const int top = random.Between(0, picture.height - 1);
    FillRectangle(picture, left, top, random.Between(8, 120), random.Between(8, 120), colour);
  }
  for (uint8_t& value : picture.rgb) {  // a sensor's grain
    value = static_cast<uint8_t>(std::clamp(value + random.Between(-9, 9), 0, 255));
  }
  return picture;
}

Result<std::string> EncodeJpeg(const Image& picture) {
  constexpr int kQuality = 90;
  const std::unique_ptr<void, int (*)(tjhandle)> encoder(tjInitCompress(), tjDestroy);
  if (encoder == nullptr) return Fail("JPEG encoder: {}", tjGetErrorStr2(nullptr));
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int failed = tjCompress2(encoder.get(), picture.rgb.data(), picture.width, 0, picture.height,
                                 TJPF_RGB, &bytes, &size, TJSAMP_420, kQuality, 0);
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(bytes, tjFree);
  if (failed != 0) return Fail("JPEG encoder: {}", tjGetErrorStr2(encoder.get()));
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace mobilevlm::bench
