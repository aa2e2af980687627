#include "world/drawings.h"

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include <algorithm>
#include <memory>
#include <type_traits>

#include "world/cairo_handles.h"
#include "world/objects.h"

namespace mobilevlm::world {
namespace {

struct LibraryDeleter {
  void operator()(FT_Library library) const { FT_Done_FreeType(library); }
};
struct FaceDeleter {
  void operator()(FT_Face face) const { FT_Done_Face(face); }
};
using Library = std::unique_ptr<std::remove_pointer_t<FT_Library>, LibraryDeleter>;
using Face = std::unique_ptr<std::remove_pointer_t<FT_Face>, FaceDeleter>;

struct FontFile {
  const char* path;
  const char* package;
};
// The last is kTestOnlyFont.
constexpr std::array<FontFile, kFonts> kFontFiles = {{
    {"dejavu/DejaVuSans.ttf", "fonts-dejavu-core"},
    {"dejavu/DejaVuSansMono-Bold.ttf", "fonts-dejavu-core"},
    {"liberation/LiberationSerif-Regular.ttf", "fonts-liberation"},
    {"liberation/LiberationSans-Bold.ttf", "fonts-liberation"},
    {"freefont/FreeMonoBold.ttf", "fonts-freefont-ttf"},
    {"dejavu/DejaVuSerif-Bold.ttf", "fonts-dejavu-core"},
}};

// WorldOptions::other_fonts: of the same packages, in no training.
constexpr std::array<FontFile, kFonts> kOtherFontFiles = {{
    {"dejavu/DejaVuSans-Bold.ttf", "fonts-dejavu-core"},
    {"dejavu/DejaVuSansMono.ttf", "fonts-dejavu-core"},
    {"liberation/LiberationSerif-BoldItalic.ttf", "fonts-liberation"},
    {"liberation/LiberationSansNarrow-Regular.ttf", "fonts-liberation"},
    {"freefont/FreeSansBoldOblique.ttf", "fonts-freefont-ttf"},
    {"liberation/LiberationMono-Regular.ttf", "fonts-liberation"},
}};

Result<Face> OpenFace(FT_Library library, const std::string& path, const char* package) {
  FT_Face face = nullptr;
  if (FT_New_Face(library, path.c_str(), 0, &face) != 0) {
    return Fail("{}: cannot open this font (Debian package {})", path, package);
  }
  return Face(face);
}

// Premultiplied BGRA, as FreeType makes it and Cairo wants it.
struct Bgra {
  int width, height, pitch;
  const uint8_t* bytes;
};

// Cuts to the pixels that are not nearly transparent.
Sprite CutToVisible(const Bgra& bitmap) {
  const int width = bitmap.width, height = bitmap.height;
  const auto pixel = [&](int x, int y) { return bitmap.bytes + y * bitmap.pitch + x * 4; };
  int left = width, right = 0, top = height, bottom = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      if (pixel(x, y)[3] < 64) continue;
      left = std::min(left, x);
      right = std::max(right, x + 1);
      top = std::min(top, y);
      bottom = std::max(bottom, y + 1);
    }
  }
  Sprite sprite;
  if (left >= right) return sprite;
  sprite.width = right - left;
  sprite.height = bottom - top;
  for (int y = top; y < bottom; ++y) {
    for (int x = left; x < right; ++x) {
      const uint8_t* bgra = pixel(x, y);
      sprite.pixels.push_back(static_cast<uint32_t>(bgra[3]) << 24 | static_cast<uint32_t>(bgra[2]) << 16 |
                              static_cast<uint32_t>(bgra[1]) << 8 | bgra[0]);
    }
  }
  return sprite;
}

// Half the size by the mean of 2x2 blocks; an odd last row or column counts twice.
Sprite Halve(const Sprite& source) {
  Sprite half;
  half.width = (source.width + 1) / 2;
  half.height = (source.height + 1) / 2;
  half.pixels.reserve(static_cast<size_t>(half.width) * half.height);
  const auto pixel = [&](int x, int y) {
    x = std::min(x, source.width - 1);
    y = std::min(y, source.height - 1);
    return source.pixels[static_cast<size_t>(y) * source.width + x];
  };
  for (int y = 0; y < half.height; ++y) {
    for (int x = 0; x < half.width; ++x) {
      const std::array block = {pixel(2 * x, 2 * y), pixel(2 * x + 1, 2 * y), pixel(2 * x, 2 * y + 1),
                                pixel(2 * x + 1, 2 * y + 1)};
      uint32_t mean = 0;
      for (int shift = 0; shift < 32; shift += 8) {
        uint32_t sum = 2;
        for (uint32_t value : block) sum += (value >> shift) & 0xFF;
        mean |= (sum / 4) << shift;
      }
      half.pixels.push_back(mean);
    }
  }
  return half;
}

Result<SpritePyramid> MakePyramid(const Bgra& bitmap, const std::string& path, const ObjectInfo& object) {
  SpritePyramid pyramid = {CutToVisible(bitmap)};
  if (pyramid.front().width == 0) return Fail("{}: the drawing of {} is empty", path, object.name);
  while (std::max(pyramid.back().width, pyramid.back().height) > 20) pyramid.push_back(Halve(pyramid.back()));
  return pyramid;
}

Result<std::vector<SpritePyramid>> LoadObjects(FT_Library library, const std::string& path) {
  MVLM_ASSIGN(const Face face, OpenFace(library, path, "fonts-noto-color-emoji"));
  if (!FT_HAS_FIXED_SIZES(face.get()) || FT_Select_Size(face.get(), 0) != 0) {
    return Fail("{}: wanted a font with colour bitmaps (CBDT), as in Debian 12's fonts-noto-color-emoji",
                path);
  }
  std::vector<SpritePyramid> objects;
  for (const ObjectInfo& object : Objects()) {
    const FT_UInt glyph = FT_Get_Char_Index(face.get(), object.code_point);
    if (glyph == 0 || FT_Load_Glyph(face.get(), glyph, FT_LOAD_COLOR) != 0 ||
        face->glyph->bitmap.pixel_mode != FT_PIXEL_MODE_BGRA) {
      return Fail("{}: no colour bitmap for U+{:X} ({})", path, static_cast<uint32_t>(object.code_point),
                  object.name);
    }
    const FT_Bitmap& bitmap = face->glyph->bitmap;
    MVLM_ASSIGN(SpritePyramid pyramid,
                MakePyramid({static_cast<int>(bitmap.width), static_cast<int>(bitmap.rows), bitmap.pitch,
                             bitmap.buffer},
                            path, object));
    objects.push_back(std::move(pyramid));
  }
  return objects;
}

// Cairo's own PNG reader, because it keeps what is transparent.
Result<std::vector<SpritePyramid>> LoadPngObjects(const std::string& directory) {
  std::vector<SpritePyramid> objects;
  for (const ObjectInfo& object : Objects()) {
    const std::string path = fmt::format("{}/{:x}.png", directory, static_cast<uint32_t>(object.code_point));
    const Surface surface(cairo_image_surface_create_from_png(path.c_str()));
    const cairo_status_t status = cairo_surface_status(surface.get());
    if (status != CAIRO_STATUS_SUCCESS) {
      return Fail("{}: cannot read the drawing of {}: {}", path, object.name, cairo_status_to_string(status));
    }
    if (cairo_image_surface_get_format(surface.get()) != CAIRO_FORMAT_ARGB32) {
      return Fail("{}: wanted a PNG with an alpha channel", path);
    }
    cairo_surface_flush(surface.get());
    const Bgra bitmap{
        cairo_image_surface_get_width(surface.get()), cairo_image_surface_get_height(surface.get()),
        cairo_image_surface_get_stride(surface.get()), cairo_image_surface_get_data(surface.get())};
    MVLM_ASSIGN(SpritePyramid pyramid, MakePyramid(bitmap, path, object));
    objects.push_back(std::move(pyramid));
  }
  return objects;
}

struct OutlineSink {
  Glyph* glyph;
  float scale;  // font units to capital heights
  float last_x = 0, last_y = 0;

  float X(const FT_Vector* v) const { return static_cast<float>(v->x) * scale; }
  float Y(const FT_Vector* v) const { return 1 - static_cast<float>(v->y) * scale; }
  void Add(OutlineStep::Type type, std::array<float, 6> points) {
    glyph->outline.push_back({type, points});
    last_x = points[4];
    last_y = points[5];
  }
};

int MoveTo(const FT_Vector* to, void* user) {
  auto& sink = *static_cast<OutlineSink*>(user);
  sink.Add(OutlineStep::Type::kMove, {0, 0, 0, 0, sink.X(to), sink.Y(to)});
  return 0;
}
int LineTo(const FT_Vector* to, void* user) {
  auto& sink = *static_cast<OutlineSink*>(user);
  sink.Add(OutlineStep::Type::kLine, {0, 0, 0, 0, sink.X(to), sink.Y(to)});
  return 0;
}
// A quadratic curve as the cubic with the same points (degree elevation).
int ConicTo(const FT_Vector* control, const FT_Vector* to, void* user) {
  auto& sink = *static_cast<OutlineSink*>(user);
  const float cx = sink.X(control), cy = sink.Y(control), x = sink.X(to), y = sink.Y(to);
  sink.Add(OutlineStep::Type::kCurve,
           {sink.last_x + (cx - sink.last_x) * 2 / 3, sink.last_y + (cy - sink.last_y) * 2 / 3,
            x + (cx - x) * 2 / 3, y + (cy - y) * 2 / 3, x, y});
  return 0;
}
int CubicTo(const FT_Vector* first, const FT_Vector* second, const FT_Vector* to, void* user) {
  auto& sink = *static_cast<OutlineSink*>(user);
  sink.Add(OutlineStep::Type::kCurve,
           {sink.X(first), sink.Y(first), sink.X(second), sink.Y(second), sink.X(to), sink.Y(to)});
  return 0;
}

Result<std::array<Glyph, kCharacters>> LoadGlyphs(FT_Library library, const std::string& path,
                                                  const char* package) {
  MVLM_ASSIGN(const Face face, OpenFace(library, path, package));
  FT_Outline_Funcs functions{};
  functions.move_to = MoveTo;
  functions.line_to = LineTo;
  functions.conic_to = ConicTo;
  functions.cubic_to = CubicTo;
  std::array<Glyph, kCharacters> glyphs;
  float capital_height = 0;
  // H first: its top is the capital line.
  if (FT_Load_Char(face.get(), 'H', FT_LOAD_NO_SCALE) == 0) {
    capital_height = static_cast<float>(face->glyph->metrics.horiBearingY);
  }
  if (capital_height <= 0) return Fail("{}: no outline for 'H'", path);
  for (int i = 0; i < kCharacters; ++i) {
    const char character = static_cast<char>(i < 26 ? 'A' + i : '0' + i - 26);
    if (FT_Load_Char(face.get(), static_cast<FT_ULong>(character), FT_LOAD_NO_SCALE) != 0 ||
        face->glyph->format != FT_GLYPH_FORMAT_OUTLINE) {
      return Fail("{}: no outline for '{}'", path, character);
    }
    OutlineSink sink{&glyphs[i], 1 / capital_height};
    glyphs[i].advance = static_cast<float>(face->glyph->metrics.horiAdvance) / capital_height;
    if (FT_Outline_Decompose(&face->glyph->outline, &functions, &sink) != 0) {
      return Fail("{}: bad outline for '{}'", path, character);
    }
  }
  return glyphs;
}

}  // namespace

Result<Drawings> LoadDrawings(const WorldOptions& options) {
  FT_Library raw = nullptr;
  if (FT_Init_FreeType(&raw) != 0) return Fail("FreeType does not start");
  const Library library(raw);
  Drawings drawings;
  if (options.object_drawings.empty()) {
    MVLM_ASSIGN(drawings.objects, LoadObjects(library.get(), options.emoji_font));
  } else {
    MVLM_ASSIGN(drawings.objects, LoadPngObjects(options.object_drawings));
  }
  const auto& files = options.other_fonts ? kOtherFontFiles : kFontFiles;
  for (int font = 0; font < kFonts; ++font) {
    const std::string path = options.font_directory + "/" + files[font].path;
    MVLM_ASSIGN(drawings.fonts[font], LoadGlyphs(library.get(), path, files[font].package));
  }
  return drawings;
}

}  // namespace mobilevlm::world
