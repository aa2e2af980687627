#include "image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#include "base/random.h"
#include "base/read_file.h"

namespace mobilevlm {
namespace {

using testing::HasSubstr;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/preprocess/";

Result<Image> Decode(const std::string& bytes, const DecodeOptions& options = {}) {
  return DecodeImage(std::as_bytes(std::span(bytes)), "picture", options);
}

std::string ErrorOf(const std::string& bytes) {
  const auto image = Decode(bytes);
  return image ? "accepted" : image.error().message;
}

std::string Golden(const std::string& name) {
  const auto bytes = ReadFile(kGolden + name, 1 << 24);
  EXPECT_TRUE(bytes);
  return bytes.value_or("");
}

// A smooth picture, so that lossy formats stay near it.
Image Gradient(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.at(x, y)[0] = static_cast<uint8_t>(255 * x / width);
      image.at(x, y)[1] = static_cast<uint8_t>(255 * y / height);
      image.at(x, y)[2] = 90;
    }
  }
  return image;
}

std::string Jpeg(const std::vector<uint8_t>& pixels, int width, int height, TJPF format, TJSAMP subsampling) {
  tjhandle handle = tjInitCompress();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(handle, pixels.data(), width, 0, height, format, &out, &size, subsampling, 95, 0), 0);
  std::string bytes(reinterpret_cast<char*>(out), size);
  tjFree(out);
  tjDestroy(handle);
  return bytes;
}

void ExpectNear(const Result<Image>& found, const Image& wanted, double mean_tolerance) {
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->width, wanted.width);
  ASSERT_EQ(found->height, wanted.height);
  double sum = 0;
  for (size_t i = 0; i < wanted.rgb.size(); ++i) sum += std::abs(found->rgb[i] - wanted.rgb[i]);
  EXPECT_LT(sum / static_cast<double>(wanted.rgb.size()), mean_tolerance);
}

TEST(DecodeJpeg, EverySubsamplingAndOddSizes) {
  for (const TJSAMP subsampling : {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {61, 47}, {200, 133}}) {
      const Image image = Gradient(width, height);
      ExpectNear(Decode(Jpeg(image.rgb, width, height, TJPF_RGB, subsampling)), image, 4);
    }
  }
}

TEST(DecodeJpeg, GreyIsReplicated) {
  const auto image = Decode(Golden("07_640x480.gray.jpg"));
  ASSERT_TRUE(image);
  for (size_t i = 0; i < image->rgb.size(); i += 3) {
    ASSERT_EQ(image->rgb[i], image->rgb[i + 1]);
    ASSERT_EQ(image->rgb[i], image->rgb[i + 2]);
  }
}

TEST(DecodeJpeg, RefusesCmyk) {
  const std::vector<uint8_t> pixels(16 * 16 * 4, 100);
  EXPECT_THAT(ErrorOf(Jpeg(pixels, 16, 16, TJPF_CMYK, TJSAMP_444)), HasSubstr("picture: JPEG: CMYK"));
}

TEST(DecodeJpeg, RefusesTruncatedFiles) {
  const std::string good = Golden("04_1280x720.jpg");
  for (size_t size = 3; size < good.size(); size += size < 700 ? 7 : 30011) {
    EXPECT_THAT(ErrorOf(good.substr(0, size)), HasSubstr("picture: JPEG: ")) << size;
  }
  EXPECT_THAT(ErrorOf(good.substr(0, good.size() - 2)), HasSubstr("truncated"));
}

// Sizes live in the start-of-frame segment: FF C0, length, precision, height, width.
TEST(DecodeJpeg, RefusesSizesBeforeAllocation) {
  const std::string good = Jpeg(Gradient(16, 16).rgb, 16, 16, TJPF_RGB, TJSAMP_420);
  const size_t frame = good.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  std::string huge = good;
  huge.replace(frame + 5, 4, "\xEA\x60\xEA\x60");  // 60000 x 60000
  EXPECT_THAT(ErrorOf(huge), HasSubstr("60000 x 60000 pixels are too many"));
  std::string empty = good;
  empty.replace(frame + 5, 2, std::string(2, '\0'));
  EXPECT_THAT(ErrorOf(empty), HasSubstr("picture: JPEG: "));
}

TEST(DecodeJpeg, AppliesExifOnlyWhenAsked) {
  const std::string plain = Jpeg(Gradient(16, 8).rgb, 16, 8, TJPF_RGB, TJSAMP_444);
  const std::string exif(
      "\xFF\xE1\0\x1E"
      "Exif\0\0"
      "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0",
      32);
  const std::string turned = plain.substr(0, 2) + exif + plain.substr(2);
  EXPECT_EQ(Decode(turned)->width, 16);
  EXPECT_EQ(Decode(turned)->rgb, Decode(plain)->rgb);
  const auto image = Decode(turned, {.apply_exif = true});
  ASSERT_TRUE(image);
  EXPECT_EQ(image->width, 8);
  EXPECT_EQ(image->height, 16);
}

std::string LosslessWebp(const std::vector<uint8_t>& rgba, int width, int height) {
  uint8_t* out = nullptr;
  const size_t size = WebPEncodeLosslessRGBA(rgba.data(), width, height, width * 4, &out);
  std::string bytes(reinterpret_cast<char*>(out), size);
  WebPFree(out);
  return bytes;
}

TEST(DecodeWebp, LossyAndLosslessWithAlphaDropped) {
  const Image image = Gradient(64, 33);
  uint8_t* out = nullptr;
  const size_t size = WebPEncodeRGB(image.rgb.data(), 64, 33, 64 * 3, 90, &out);
  ExpectNear(Decode(std::string(reinterpret_cast<char*>(out), size)), image, 6);
  WebPFree(out);

  std::vector<uint8_t> rgba;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    rgba.insert(rgba.end(),
                {image.rgb[i], image.rgb[i + 1], image.rgb[i + 2], static_cast<uint8_t>(1 + i % 250)});
  }
  const auto lossless = Decode(LosslessWebp(rgba, 64, 33));
  ASSERT_TRUE(lossless) << lossless.error().message;
  EXPECT_EQ(lossless->rgb, image.rgb);
}

TEST(DecodeWebp, RefusesBadFiles) {
  const std::string good = Golden("09_700x699.webp");
  for (const size_t size : {size_t{12}, size_t{20}, size_t{30}, size_t{5000}, good.size() - 1}) {
    EXPECT_THAT(ErrorOf(good.substr(0, size)), HasSubstr("picture: WebP: ")) << size;
  }
  // An extended header with the animation flag (2) for 16 x 16 pixels, and one for 60,000 x 60,000.
  const std::string animated(
      "RIFF\x2A\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0\x0F\0\0\x0F\0\0"
      "ANIM\x06\0\0\0\0\0\0\0\0\0ANMF\0\0\0\0",
      52);
  EXPECT_THAT(ErrorOf(animated), HasSubstr("animated"));
  std::string huge = animated;
  huge.replace(24, 6, std::string("\x5F\xEA\0\x5F\xEA\0", 6));
  EXPECT_THAT(ErrorOf(huge), HasSubstr("60000 x 60000 pixels are too many"));
}

TEST(DecodeImage, NamesWhatItIsNot) {
  EXPECT_EQ(ErrorOf(""), "picture: the file is empty");
  EXPECT_EQ(ErrorOf("hello"), "picture: not a JPEG, PNG or WebP picture");
  EXPECT_EQ(ErrorOf("\xFF"), "picture: not a JPEG, PNG or WebP picture");
  EXPECT_EQ(ErrorOf(std::string("\0\0\0\x18"
                                "ftypmp42",
                                12)),
            "picture: not a JPEG, PNG or WebP picture");
  const auto box = [](const std::string& brand) { return std::string("\0\0\0\x18", 4) + "ftyp" + brand; };
  EXPECT_THAT(ErrorOf(box("heic")), HasSubstr("HEIC pictures are not supported; convert it"));
  EXPECT_THAT(ErrorOf(box("mif1")), HasSubstr("HEIC"));
  EXPECT_THAT(ErrorOf(box("avif")), HasSubstr("AVIF"));
  EXPECT_THAT(ErrorOf("GIF89a"), HasSubstr("GIF"));
  EXPECT_THAT(ErrorOf("BM1234"), HasSubstr("BMP"));
  EXPECT_THAT(ErrorOf(std::string("II*\0", 4)), HasSubstr("TIFF"));
  EXPECT_THAT(ErrorOf("\xFF\x0A"), HasSubstr("JPEG XL"));
  EXPECT_THAT(LoadImage("/nonexistent.png").error().message, HasSubstr("/nonexistent.png"));
}

TEST(DecodeImage, SurvivesRandomDamage) {
  Random random(4);
  int refused = 0;
  for (const char* name : {"03_97x61.png", "08_1x7.png", "07_640x480.gray.jpg"}) {
    const std::string good = Golden(name);
    for (int round = 0; round < 60; ++round) {
      std::string damaged = good;
      // Headers decide most, so half of the damage goes there.
      const size_t range = random.Chance(0.5) ? std::min<size_t>(good.size(), 64) : good.size();
      for (int i = 0; i < 4; ++i) damaged[random.Below(range)] = static_cast<char>(random.Below(256));
      refused += !Decode(damaged);
    }
  }
  EXPECT_GT(refused, 60);
}

}  // namespace
}  // namespace mobilevlm
