#include "image/preprocess.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/read_file.h"
#include "image/decode.h"

namespace mobilevlm {
namespace {

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/preprocess/";
constexpr std::array<float, 3> kClipMean = {0.48145466f, 0.4578275f, 0.40821073f};
constexpr std::array<float, 3> kClipStd = {0.26862954f, 0.26130258f, 0.27577711f};

std::string Sha256(const std::vector<uint8_t>& bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

Image RandomImage(int width, int height, uint64_t seed) {
  Image image(width, height);
  Random random(seed);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.Below(256));
  return image;
}

TEST(Preprocess, EqualsPillowAndClipImageProcessorToTheBit) {
  const auto text = ReadFile(kGolden + "cases.json", 1 << 20);
  ASSERT_TRUE(text);
  const auto cases = nlohmann::json::parse(*text);
  ASSERT_EQ(cases.size(), 10u);
  for (const auto& item : cases) {
    const auto file = item["file"].get<std::string>();
    const auto picture = LoadImage(kGolden + file);
    ASSERT_TRUE(picture) << picture.error().message;
    EXPECT_EQ(Sha256(ResizeForModel(*picture, 336, ImageMode::kPad, kClipMean).rgb), item["pad_sha256"])
        << file;
    EXPECT_EQ(Sha256(ResizeForModel(*picture, 336, ImageMode::kCrop, kClipMean).rgb), item["crop_sha256"])
        << file;
  }
}

// The border is never materialised; a padded copy resized as a square must give the same.
TEST(Preprocess, PadEqualsAPaddedCopy) {
  for (const auto& [width, height] : {std::pair{7, 50}, {50, 7}, {33, 32}, {1, 9}, {400, 399}}) {
    const Image picture = RandomImage(width, height, 5);
    const int side = std::max(width, height);
    Image padded(side, side);
    for (size_t i = 0; i < padded.rgb.size(); ++i)
      padded.rgb[i] = std::array<uint8_t, 3>{122, 116, 104}[i % 3];
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < 3; ++c) {
          padded.at(x + (side - width) / 2, y + (side - height) / 2)[c] = picture.at(x, y)[c];
        }
      }
    }
    for (const int size : {1, 14, 96, 336}) {
      EXPECT_EQ(ResizeForModel(picture, size, ImageMode::kPad, kClipMean).rgb,
                ResizeForModel(padded, size, ImageMode::kPad, kClipMean).rgb)
          << width << "x" << height << " to " << size;
    }
  }
}

TEST(Preprocess, ExtremeShapesTakeLittleTimeAndMemory) {
  for (const auto& [width, height] : {std::pair{1, 1 << 20}, {1 << 20, 1}}) {
    const Image picture = RandomImage(width, height, 6);
    for (const ImageMode mode : {ImageMode::kPad, ImageMode::kCrop}) {
      const Image out = ResizeForModel(picture, 336, mode, kClipMean);
      EXPECT_EQ(out.width, 336);
      EXPECT_EQ(out.height, 336);
    }
  }
}

TEST(Preprocess, NormaliseIsPlanarRescaledAndStandardised) {
  Image picture(2, 1);
  picture.rgb = {0, 127, 255, 255, 1, 2};
  std::array<float, 6> out;
  Normalise(picture, kClipMean, kClipStd, out);
  EXPECT_FLOAT_EQ(out[0], (0.0f - 0.48145466f) / 0.26862954f);
  EXPECT_FLOAT_EQ(out[1], (1.0f - 0.48145466f) / 0.26862954f);
  EXPECT_FLOAT_EQ(out[2], (127 / 255.0f - 0.4578275f) / 0.26130258f);
  EXPECT_FLOAT_EQ(out[3], (1 / 255.0f - 0.4578275f) / 0.26130258f);
  EXPECT_FLOAT_EQ(out[4], (1.0f - 0.40821073f) / 0.27577711f);
  EXPECT_FLOAT_EQ(out[5], (2 / 255.0f - 0.40821073f) / 0.27577711f);
}

TEST(Preprocess, ParsesModeNames) {
  EXPECT_EQ(ParseImageMode("pad"), ImageMode::kPad);
  EXPECT_EQ(ParseImageMode("crop"), ImageMode::kCrop);
  EXPECT_EQ(ParseImageMode("Pad"), std::nullopt);
}

}  // namespace
}  // namespace mobilevlm
