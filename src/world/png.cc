#include "world/png.h"

#include <cairo.h>

#include <memory>
#include <vector>

#include "base/atomic_file.h"

namespace mobilevlm::world {
namespace {

cairo_status_t Append(void* bytes, const unsigned char* data, unsigned int size) {
  static_cast<std::string*>(bytes)->append(reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Status WritePngAtomically(const std::string& path, const Image& picture) {
  std::vector<uint32_t> pixels(static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height));
  for (size_t i = 0; i < pixels.size(); ++i) {
    const uint8_t* rgb = picture.rgb.data() + 3 * i;
    pixels[i] = static_cast<uint32_t>(rgb[0]) << 16 | static_cast<uint32_t>(rgb[1]) << 8 | rgb[2];
  }
  const std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface(
      cairo_image_surface_create_for_data(reinterpret_cast<unsigned char*>(pixels.data()), CAIRO_FORMAT_RGB24,
                                          picture.width, picture.height, picture.width * 4),
      cairo_surface_destroy);
  std::string bytes;
  const cairo_status_t status = cairo_surface_write_to_png_stream(surface.get(), Append, &bytes);
  if (status != CAIRO_STATUS_SUCCESS) return Fail("{}: {}", path, cairo_status_to_string(status));
  return WriteFileAtomically(path, bytes);
}

}  // namespace mobilevlm::world
