#include "image/png_write.h"

#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/atomic_file.h"
#include "base/check.h"

namespace mobilevlm {
namespace {

struct PngWriter {
  std::string out;
  char message[128] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

void Append(png_structp png, png_bytep data, size_t size) {
  static_cast<PngWriter*>(png_get_io_ptr(png))->out.append(reinterpret_cast<const char*>(data), size);
}

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* writer = static_cast<PngWriter*>(png_get_error_ptr(png));
  std::strncpy(writer->message, message, sizeof(writer->message) - 1);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// libpng reports errors with longjmp, so nothing here has a destructor.
bool WriteAll(PngWriter& writer, const Image& image) {
  if (setjmp(png_jmpbuf(writer.png)) != 0) return false;
  png_set_write_fn(writer.png, &writer, Append, nullptr);
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  for (int y = 0; y < image.height; ++y) png_write_row(writer.png, image.at(0, y));
  png_write_end(writer.png, nullptr);
  return true;
}

}  // namespace

Result<std::string> EncodePng(const Image& image) {
  MVLM_CHECK(image.width >= 0 && image.height >= 0 &&
             image.rgb.size() == static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * 3);
  PngWriter writer;
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, OnError, OnWarning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr) return Fail("PNG: out of memory");
  if (!WriteAll(writer, image)) return Fail("PNG: {}", writer.message);
  return std::move(writer.out);
}

Status WritePng(const std::string& path, const Image& image) {
  Result<std::string> bytes = EncodePng(image);
  if (!bytes) return Context(bytes.error(), "{}", path);
  return WriteFileAtomically(path, *bytes);
}

}  // namespace mobilevlm
