#include <png.h>

#include <csetjmp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/checked_math.h"
#include "image/decode_formats.h"
#include "image/exif.h"

namespace mobilevlm {
namespace {

// libpng reports errors with longjmp, which must not skip destructors: everything that needs one lives in
// DecodePng, and the functions that call libpng hold plain values only.
struct PngReader {
  std::span<const std::byte> bytes;
  size_t position = 0;
  char message[128] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void Read(png_structp png, png_bytep out, size_t size) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (!RangeFits(reader->position, size, reader->bytes.size())) png_error(png, "the file is truncated");
  std::memcpy(out, reader->bytes.data() + reader->position, size);
  reader->position += size;
}

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::strncpy(reader->message, message, sizeof(reader->message) - 1);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// Everything up to the pixels.
bool ReadHeader(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_read_fn(reader.png, &reader, Read);
  png_set_user_limits(reader.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // CheckImageSize has the say
  png_read_info(reader.png, reader.info);
  return true;
}

// Asks libpng for 8-bit RGB, whatever the file holds; returns the bytes in a row, 0 after an error.
size_t ConvertToRgb(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return 0;
  png_set_strip_16(reader.png);
  png_set_palette_to_rgb(reader.png);
  if (png_get_color_type(reader.png, reader.info) == PNG_COLOR_TYPE_GRAY) {
    png_set_expand_gray_1_2_4_to_8(reader.png);
  }
  png_set_gray_to_rgb(reader.png);
  png_set_strip_alpha(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return png_get_rowbytes(reader.png, reader.info);
}

bool ReadRows(PngReader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, reader.info);
  return true;
}

int Orientation(const PngReader& reader) {
  png_uint_32 size = 0;
  png_bytep data = nullptr;
  if (png_get_eXIf_1(reader.png, reader.info, &size, &data) == 0) return 1;
  return ExifOrientation(std::as_bytes(std::span(data, size)));
}

}  // namespace

Result<DecodedImage> DecodePng(std::span<const std::byte> bytes, const DecodeOptions& options) {
  PngReader reader{.bytes = bytes};
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnError, OnWarning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) return Fail("PNG: out of memory");

  if (!ReadHeader(reader)) return Fail("PNG: {}", reader.message);
  const png_uint_32 width = png_get_image_width(reader.png, reader.info);
  const png_uint_32 height = png_get_image_height(reader.png, reader.info);
  MVLM_TRY(CheckImageSize(width, height, options));

  const size_t row_size = ConvertToRgb(reader);
  if (row_size != size_t{width} * 3) return Fail("PNG: {}", row_size == 0 ? reader.message : "not RGB");
  DecodedImage decoded{Image(static_cast<int>(width), static_cast<int>(height))};
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < height; ++y) rows[y] = decoded.image.rgb.data() + y * row_size;
  if (!ReadRows(reader, rows.data())) return Fail("PNG: {}", reader.message);
  decoded.orientation = Orientation(reader);
  return decoded;
}

}  // namespace mobilevlm
