// PNG in all its kinds, written here with libpng, and the writer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <filesystem>

#include "base/random.h"
#include "base/read_file.h"
#include "image/decode.h"
#include "image/png_write.h"

namespace mobilevlm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct PngSpec {
  int width;
  int height;
  int bits;
  int colour_type;
  std::vector<std::vector<uint8_t>> rows;  // packed as in the file; none: only the header is written
  std::vector<png_color> palette = {};
  std::vector<uint8_t> alphas = {};  // of the palette
  bool interlaced = false;
  std::string exif = {};
};

std::string WriteSpec(PngSpec spec) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
      },
      nullptr);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(png, info, static_cast<png_uint_32>(spec.width), static_cast<png_uint_32>(spec.height),
               spec.bits, spec.colour_type, spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!spec.palette.empty())
    png_set_PLTE(png, info, spec.palette.data(), static_cast<int>(spec.palette.size()));
  if (!spec.alphas.empty()) {
    png_set_tRNS(png, info, spec.alphas.data(), static_cast<int>(spec.alphas.size()), nullptr);
  }
  if (!spec.exif.empty()) {
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(spec.exif.size()),
                   reinterpret_cast<png_bytep>(spec.exif.data()));
  }
  png_write_info(png, info);
  if (!spec.rows.empty()) {
    std::vector<png_bytep> rows;
    for (auto& row : spec.rows) rows.push_back(row.data());
    png_write_image(png, rows.data());
    png_write_end(png, info);
  } else {
    out += std::string("\0\0\0\x10", 4) + "IDAT";
  }
  png_destroy_write_struct(&png, &info);
  return out;
}

Result<Image> Decode(const std::string& bytes, const DecodeOptions& options = {}) {
  return DecodeImage(std::as_bytes(std::span(bytes)), "x.png", options);
}

std::vector<uint8_t> Pixels(const PngSpec& spec) {
  const auto image = Decode(WriteSpec(spec));
  EXPECT_TRUE(image) << image.error().message;
  return image ? image->rgb : std::vector<uint8_t>{};
}

TEST(DecodePng, GreyIsReplicated) {
  EXPECT_THAT(Pixels({2, 1, 8, PNG_COLOR_TYPE_GRAY, {{7, 200}}}), ElementsAre(7, 7, 7, 200, 200, 200));
  EXPECT_THAT(Pixels({3, 1, 1, PNG_COLOR_TYPE_GRAY, {{0b10100000}}}),
              ElementsAre(255, 255, 255, 0, 0, 0, 255, 255, 255));
  EXPECT_THAT(Pixels({2, 1, 2, PNG_COLOR_TYPE_GRAY, {{0b01100000}}}), ElementsAre(85, 85, 85, 170, 170, 170));
  EXPECT_THAT(Pixels({2, 1, 4, PNG_COLOR_TYPE_GRAY, {{0x1F}}}), ElementsAre(17, 17, 17, 255, 255, 255));
}

TEST(DecodePng, SixteenBitsKeepTheHighByte) {
  EXPECT_THAT(Pixels({2, 1, 16, PNG_COLOR_TYPE_GRAY, {{0x12, 0xFF, 0xFE, 0x80}}}),
              ElementsAre(0x12, 0x12, 0x12, 0xFE, 0xFE, 0xFE));
  EXPECT_THAT(Pixels({1, 1, 16, PNG_COLOR_TYPE_RGB, {{1, 255, 2, 255, 3, 255}}}), ElementsAre(1, 2, 3));
  EXPECT_THAT(Pixels({1, 1, 16, PNG_COLOR_TYPE_RGBA, {{1, 9, 2, 9, 3, 9, 4, 9}}}), ElementsAre(1, 2, 3));
}

TEST(DecodePng, AlphaIsDroppedAndNotBlended) {
  EXPECT_THAT(Pixels({2, 1, 8, PNG_COLOR_TYPE_RGBA, {{10, 20, 30, 0, 40, 50, 60, 128}}}),
              ElementsAre(10, 20, 30, 40, 50, 60));
  EXPECT_THAT(Pixels({1, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, {{99, 1}}}), ElementsAre(99, 99, 99));
}

TEST(DecodePng, PalettesAreLookedUp) {
  const std::vector<png_color> palette = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
  EXPECT_THAT(Pixels({2, 1, 8, PNG_COLOR_TYPE_PALETTE, {{2, 0}}, palette}), ElementsAre(7, 8, 9, 1, 2, 3));
  EXPECT_THAT(Pixels({2, 1, 2, PNG_COLOR_TYPE_PALETTE, {{0b01000000}}, palette, {0, 128}}),
              ElementsAre(4, 5, 6, 1, 2, 3));
}

TEST(DecodePng, InterlacedEqualsPlain) {
  Random random(1);
  PngSpec spec{13, 11, 8, PNG_COLOR_TYPE_RGB, {}};
  for (int y = 0; y < 11; ++y) {
    spec.rows.emplace_back();
    for (int x = 0; x < 39; ++x) spec.rows.back().push_back(static_cast<uint8_t>(random.Below(256)));
  }
  const std::vector<uint8_t> plain = Pixels(spec);
  spec.interlaced = true;
  EXPECT_EQ(Pixels(spec), plain);
}

TEST(DecodePng, RefusesSizesBeforeAllocation) {
  const auto message = [](int width, int height, const DecodeOptions& options = {}) {
    return Decode(WriteSpec({width, height, 8, PNG_COLOR_TYPE_RGB, {}}), options).error().message;
  };
  EXPECT_THAT(message(60000, 60000),
              HasSubstr("x.png: 60000 x 60000 pixels are too many (at most 178956970"));
  EXPECT_THAT(message(1 << 21, 1), HasSubstr("2097152 x 1 pixels are too many"));
  EXPECT_THAT(message(2147483647, 2147483647), HasSubstr("too many"));
  const PngSpec small{4, 3, 8, PNG_COLOR_TYPE_GRAY, {{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}}};
  EXPECT_TRUE(Decode(WriteSpec(small), {.max_pixels = 12}));
  EXPECT_FALSE(Decode(WriteSpec(small), {.max_pixels = 11}));
  // libpng itself refuses to write no pixels: patch the width and its checksum (of "IHDR", 0 x 3, 8-bit
  // grey).
  std::string empty = WriteSpec(small);
  empty.replace(16, 4, std::string(4, '\0'));
  EXPECT_THAT(Decode(empty).error().message, HasSubstr("x.png: PNG: "));
}

TEST(DecodePng, RefusesTruncatedAndCorruptFiles) {
  const auto good = ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/preprocess/03_97x61.png", 1 << 20);
  ASSERT_TRUE(good);
  ASSERT_TRUE(Decode(*good));
  for (size_t size = 8; size < good->size(); size += size < 100 ? 1 : 997) {
    EXPECT_THAT(Decode(good->substr(0, size)).error().message, HasSubstr("truncated")) << size;
  }
  EXPECT_FALSE(Decode(good->substr(0, good->size() - 1)));
  std::string corrupt = *good;
  corrupt[corrupt.size() / 2] = static_cast<char>(corrupt[corrupt.size() / 2] ^ 0x55);
  EXPECT_THAT(Decode(corrupt).error().message, HasSubstr("x.png: PNG: "));
}

TEST(DecodePng, AppliesExifOnlyWhenAsked) {
  PngSpec spec{2, 1, 8, PNG_COLOR_TYPE_GRAY, {{1, 2}}};
  spec.exif = std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", 22);
  const std::string bytes = WriteSpec(spec);
  EXPECT_EQ(Decode(bytes)->width, 2);
  EXPECT_EQ(Decode(bytes, {.apply_exif = true})->width, 1);
  EXPECT_EQ(Decode(bytes, {.apply_exif = true})->height, 2);
}

TEST(WritePng, ReadsBackTheSame) {
  Random random(2);
  Image image(33, 17);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.Below(256));
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "mobilevlm_write_png_test.png";
  const Status written = WritePng(path, image);
  ASSERT_TRUE(written) << written.error().message;
  const auto read = LoadImage(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->width, 33);
  EXPECT_EQ(read->rgb, image.rgb);
  std::filesystem::remove(path);
  EXPECT_FALSE(WritePng("/nonexistent/x.png", image));
  EXPECT_FALSE(EncodePng(Image()));  // no pixels
}

}  // namespace
}  // namespace mobilevlm
