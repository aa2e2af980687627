#include "image/exif.h"

#include <gtest/gtest.h>

#include <string>

namespace mobilevlm {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// A TIFF block with one other entry before the orientation.
std::string Tiff(bool big_endian, int orientation, int type = 3) {
  std::string out = big_endian ? std::string("MM\0*", 4) : std::string("II*\0", 4);
  const auto add = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) {
      out += static_cast<char>(value >> 8 * (big_endian ? size - 1 - i : i));
    }
  };
  add(8, 4);  // the directory follows
  add(2, 2);
  add(0x010F, 2), add(2, 2), add(4, 4), add(0x41424300, 4);
  add(0x0112, 2), add(static_cast<uint32_t>(type), 2), add(1, 4);
  add(static_cast<uint32_t>(orientation), 2), add(0, 2);
  return out;
}

TEST(Exif, ReadsBothByteOrders) {
  for (const bool big_endian : {false, true}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      EXPECT_EQ(ExifOrientation(Bytes(Tiff(big_endian, orientation))), orientation);
    }
  }
}

TEST(Exif, MalformedBlocksMeanUpright) {
  const std::string good = Tiff(true, 6);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(ExifOrientation(Bytes(good.substr(0, size))), 1) << size;
  }
  EXPECT_EQ(ExifOrientation(Bytes(Tiff(true, 9))), 1);
  EXPECT_EQ(ExifOrientation(Bytes(Tiff(true, 0))), 1);
  EXPECT_EQ(ExifOrientation(Bytes(Tiff(true, 6, /*type=*/4))), 1);
  std::string far = good;
  far.replace(4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_EQ(ExifOrientation(Bytes(far)), 1);
}

TEST(Exif, FindsTheBlockInJpegAndWebp) {
  const std::string tiff = Tiff(true, 8);
  const std::string exif = std::string("Exif\0\0", 6) + tiff;
  const std::string size = {0, static_cast<char>(exif.size() + 2)};
  const std::string jpeg =
      std::string("\xFF\xD8\xFF\xE0\0\x04xx", 8) + "\xFF\xFF\xE1" + size + exif + "\xFF\xDA";
  EXPECT_EQ(ExifOrientation(FindJpegExif(Bytes(jpeg))), 8);
  EXPECT_TRUE(FindJpegExif(Bytes(jpeg.substr(0, 40))).empty());
  EXPECT_TRUE(FindJpegExif(Bytes(std::string("\xFF\xD8\xFF\xE1\0\0", 6))).empty());
  // After the start of the scan there are no more headers.
  EXPECT_TRUE(FindJpegExif(Bytes("\xFF\xD8\xFF\xDA" + std::string("\0\x02", 2) + jpeg.substr(2))).empty());

  const std::string webp = "RIFF....WEBP" + std::string("VP8X\x01\0\0\0z\0", 10) + "EXIF" +
                           static_cast<char>(tiff.size()) + std::string(3, '\0') + tiff;
  EXPECT_EQ(ExifOrientation(FindWebpExif(Bytes(webp))), 8);
  EXPECT_TRUE(FindWebpExif(Bytes(webp.substr(0, webp.size() - 1))).empty());
}

// A 3 x 2 picture a b c / d e f, turned as the table of the EXIF standard says.
TEST(Exif, TurnsThePictureInAllEightWays) {
  Image image(3, 2);
  for (int i = 0; i < 6; ++i) {
    for (int c = 0; c < 3; ++c) image.at(i % 3, i / 3)[c] = static_cast<uint8_t>('a' + i);
  }
  const char* wanted[] = {"abc/def",  "cba/fed",  "fed/cba",  "def/abc",
                          "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad"};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image turned = ApplyOrientation(image, orientation);
    std::string rows;
    for (int y = 0; y < turned.height; ++y) {
      if (y > 0) rows += '/';
      for (int x = 0; x < turned.width; ++x) {
        EXPECT_EQ(turned.at(x, y)[0], turned.at(x, y)[2]);
        rows += static_cast<char>(turned.at(x, y)[1]);
      }
    }
    EXPECT_EQ(rows, wanted[orientation - 1]) << orientation;
  }
}

}  // namespace
}  // namespace mobilevlm
