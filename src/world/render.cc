#include "world/render.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "world/cairo_handles.h"
#include "world/layout.h"

namespace mobilevlm::world {
namespace {

constexpr uint64_t kPaintStream = 3;  // of Scene::style, see background.cc
constexpr double kPi = 3.14159265358979;

// A transparent piece of the picture to draw one thing on; its own pixels then give both the picture
// and the labels.
class Layer {
 public:
  // The box in fractions of the side, grown by `margin` pixels and cut to the picture.
  Layer(int side, float x, float y, float w, float h, int margin)
      : left_(std::clamp(static_cast<int>(std::floor((x - w / 2) * side)) - margin, 0, side - 1)),
        top_(std::clamp(static_cast<int>(std::floor((y - h / 2) * side)) - margin, 0, side - 1)),
        width_(std::clamp(static_cast<int>(std::ceil((x + w / 2) * side)) + margin, left_ + 1, side) - left_),
        height_(std::clamp(static_cast<int>(std::ceil((y + h / 2) * side)) + margin, top_ + 1, side) - top_),
        pixels_(static_cast<size_t>(width_) * height_),
        surface_(cairo_image_surface_create_for_data(reinterpret_cast<unsigned char*>(pixels_.data()),
                                                     CAIRO_FORMAT_ARGB32, width_, height_, width_ * 4)),
        context_(cairo_create(surface_.get())) {
    cairo_translate(context_.get(), -left_, -top_);
    cairo_scale(context_.get(), side, side);  // from here on in fractions of the picture's side
  }

  cairo_t* context() { return context_.get(); }

  void SetColour(Rgb colour) {
    cairo_set_source_rgb(context(), colour.r / 255.0, colour.g / 255.0, colour.b / 255.0);
  }

  // Puts the layer on the picture; pixels that are more than half covered are labelled, if `label` >= 0.
  void Composite(Rendered& rendered, int label) const {
    cairo_surface_flush(surface_.get());
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x) {
        const uint32_t source = pixels_[static_cast<size_t>(y) * width_ + x];
        const uint32_t alpha = source >> 24;
        if (alpha == 0) continue;
        uint8_t* rgb = rendered.picture.at(left_ + x, top_ + y);
        for (int c = 0; c < 3; ++c) {
          const uint32_t channel = (source >> (16 - 8 * c)) & 0xFF;
          rgb[c] = static_cast<uint8_t>(std::min(255u, channel + (rgb[c] * (255 - alpha) + 127) / 255));
        }
        if (label >= 0 && alpha > 127) {
          rendered.labels.thing[static_cast<size_t>(top_ + y) * rendered.labels.side + left_ + x] =
              static_cast<int16_t>(label);
        }
      }
    }
  }

 private:
  int left_, top_, width_, height_;
  std::vector<uint32_t> pixels_;  // premultiplied ARGB, [height, width]
  Surface surface_;
  Context2d context_;
};

uint8_t Mix(uint8_t a, uint8_t b, float t) {
  return static_cast<uint8_t>(std::lround(static_cast<float>(a) + (static_cast<float>(b) - a) * t));
}

// Smooth value noise: a lattice of random numbers, interpolated. Returns [side, side] in [0, 1].
std::vector<float> SoftNoise(int side, Random& random) {
  constexpr int kLattice = 8;
  std::array<float, (kLattice + 1) * (kLattice + 1)> lattice;
  for (float& value : lattice) value = static_cast<float>(random.Uniform());
  std::vector<float> noise(static_cast<size_t>(side) * side);
  const auto smooth = [](float t) { return t * t * (3 - 2 * t); };
  for (int y = 0; y < side; ++y) {
    const float v = static_cast<float>(y) * kLattice / static_cast<float>(side);
    const int row = static_cast<int>(v);
    const float ty = smooth(v - static_cast<float>(row));
    for (int x = 0; x < side; ++x) {
      const float u = static_cast<float>(x) * kLattice / static_cast<float>(side);
      const int column = static_cast<int>(u);
      const float tx = smooth(u - static_cast<float>(column));
      const float* corner = lattice.data() + row * (kLattice + 1) + column;
      const float top = corner[0] + (corner[1] - corner[0]) * tx;
      const float bottom = corner[kLattice + 1] + (corner[kLattice + 2] - corner[kLattice + 1]) * tx;
      noise[static_cast<size_t>(y) * side + x] = top + (bottom - top) * ty;
    }
  }
  return noise;
}

void PaintBackground(const Background& background, Random& random, Image& picture) {
  const int side = picture.width;
  std::vector<float> noise;
  if (background.family == BackgroundFamily::kNoise) noise = SoftNoise(side, random);
  const float angle = static_cast<float>(random.Uniform(0, 2 * kPi));
  const float along_x = std::cos(angle), along_y = std::sin(angle);
  const float period = static_cast<float>(random.Uniform(0.08, 0.25));
  const auto share = [&](float x, float y, size_t i) {  // of the second colour
    switch (background.family) {
      case BackgroundFamily::kGradient:
        return std::clamp(0.5f + (x - 0.5f) * along_x + (y - 0.5f) * along_y, 0.0f, 1.0f);
      case BackgroundFamily::kNoise:
        return noise[i];
      case BackgroundFamily::kStripes: {
        const float phase = (x * along_x + y * along_y) / period + 8;
        return phase - std::floor(phase) < 0.5f ? 0.0f : 1.0f;
      }
      case BackgroundFamily::kChecker:
        return (static_cast<int>(x / period) + static_cast<int>(y / period)) % 2 == 0 ? 0.0f : 1.0f;
      case BackgroundFamily::kDots: {
        const float dx = x / period - std::floor(x / period) - 0.5f,
                    dy = y / period - std::floor(y / period) - 0.5f;
        return dx * dx + dy * dy < 0.1f ? 1.0f : 0.0f;
      }
      case BackgroundFamily::kFlat:
        break;
    }
    return 0.0f;
  };
  const auto [a, b] = background.colours;
  size_t i = 0;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x, ++i) {
      const float scale = 1 / static_cast<float>(side);
      const float t = share(static_cast<float>(x) * scale, static_cast<float>(y) * scale, i);
      uint8_t* rgb = picture.at(x, y);
      rgb[0] = Mix(a.r, b.r, t);
      rgb[1] = Mix(a.g, b.g, t);
      rgb[2] = Mix(a.b, b.b, t);
    }
  }
}

void DrawObject(const Thing& thing, const SpritePyramid& pyramid, int side, Layer& layer) {
  // Undo the box of the rotation: the drawing's own aspect gives its size before turning.
  const Sprite& full = pyramid.front();
  const float c = std::cos(thing.rotation), s = std::abs(std::sin(thing.rotation));
  const float scale = thing.w / (static_cast<float>(full.width) * c + static_cast<float>(full.height) * s);
  const float width = static_cast<float>(full.width) * scale,
              height = static_cast<float>(full.height) * scale;
  size_t level = 0;
  while (level + 1 < pyramid.size() &&
         static_cast<float>(pyramid[level + 1].width) >= width * static_cast<float>(side)) {
    ++level;
  }
  const Sprite& sprite = pyramid[level];
  // Cairo only reads from a source surface; its interface has no way to say so.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<uint32_t*>(sprite.pixels.data()));
  const Surface source(cairo_image_surface_create_for_data(data, CAIRO_FORMAT_ARGB32, sprite.width,
                                                           sprite.height, sprite.width * 4));
  cairo_t* context = layer.context();
  cairo_translate(context, thing.x, thing.y);
  cairo_rotate(context, thing.rotation);
  cairo_scale(context, width / static_cast<float>(sprite.width), height / static_cast<float>(sprite.height));
  cairo_set_source_surface(context, source.get(), -sprite.width / 2.0, -sprite.height / 2.0);
  cairo_pattern_set_filter(cairo_get_source(context), CAIRO_FILTER_GOOD);
  cairo_paint(context);
}

// The outline of a shape that fills the square from -1 to 1.
void ShapePath(cairo_t* context, int shape) {
  switch (shape) {
    case kCircle:
      cairo_arc(context, 0, 0, 1, 0, 2 * kPi);
      break;
    case kRing:
      cairo_arc(context, 0, 0, 1, 0, 2 * kPi);
      cairo_new_sub_path(context);
      cairo_arc_negative(context, 0, 0, 0.56, 2 * kPi, 0);
      break;
    case kSquare:
      cairo_rectangle(context, -1, -1, 2, 2);
      break;
    case kTriangle:
      cairo_move_to(context, 0, -1);
      cairo_line_to(context, 1, 1);
      cairo_line_to(context, -1, 1);
      break;
    case kDiamond:
      cairo_move_to(context, 0, -1);
      cairo_line_to(context, 1, 0);
      cairo_line_to(context, 0, 1);
      cairo_line_to(context, -1, 0);
      break;
    case kStar:
      for (int i = 0; i < 10; ++i) {
        const double radius = i % 2 == 0 ? 1.05 : 0.44;
        cairo_line_to(context, radius * std::sin(i * kPi / 5), 0.1 - radius * std::cos(i * kPi / 5));
      }
      break;
    case kHeart:
      cairo_move_to(context, 0, 1);
      cairo_curve_to(context, -0.5, 0.55, -1, 0.2, -1, -0.4);
      cairo_curve_to(context, -1, -1.15, -0.15, -1.15, 0, -0.5);
      cairo_curve_to(context, 0.15, -1.15, 1, -1.15, 1, -0.4);
      cairo_curve_to(context, 1, 0.2, 0.5, 0.55, 0, 1);
      break;
    case kCross:
      for (const auto& [x, y] : {std::pair{-0.34, -1.0},
                                 {0.34, -1.0},
                                 {0.34, -0.34},
                                 {1.0, -0.34},
                                 {1.0, 0.34},
                                 {0.34, 0.34},
                                 {0.34, 1.0},
                                 {-0.34, 1.0},
                                 {-0.34, 0.34},
                                 {-1.0, 0.34},
                                 {-1.0, -0.34},
                                 {-0.34, -0.34}}) {
        cairo_line_to(context, x, y);
      }
      break;
    default:
      MVLM_CHECK(false, "no shape {}", shape);
  }
  cairo_close_path(context);
}

void DrawShape(const Thing& thing, Rgb colour, Layer& layer) {
  // The box of a w0 x h0 drawing turned by r is w = w0 cos r + h0 sin r, h = w0 sin r + h0 cos r; solved for
  // w0, h0.
  const float c = std::cos(thing.rotation), s = std::abs(std::sin(thing.rotation));
  const float determinant = c * c - s * s;
  const float width = (thing.w * c - thing.h * s) / determinant;
  const float height = (thing.h * c - thing.w * s) / determinant;
  cairo_t* context = layer.context();
  cairo_translate(context, thing.x, thing.y);
  cairo_rotate(context, thing.rotation);
  cairo_scale(context, width / 2, height / 2);
  ShapePath(context, thing.name);
  layer.SetColour(colour);
  cairo_fill(context);
}

// Fills the outline of a glyph whose advance box is given.
void DrawGlyph(const Glyph& glyph, float left, float top, float width, float height, Rgb colour,
               Layer& layer) {
  cairo_t* context = layer.context();
  cairo_save(context);
  cairo_translate(context, left, top);
  cairo_scale(context, width / glyph.advance, height);
  for (const OutlineStep& step : glyph.outline) {
    const auto& p = step.points;
    switch (step.type) {
      case OutlineStep::Type::kMove:
        cairo_close_path(context);
        cairo_move_to(context, p[4], p[5]);
        break;
      case OutlineStep::Type::kLine:
        cairo_line_to(context, p[4], p[5]);
        break;
      case OutlineStep::Type::kCurve:
        cairo_curve_to(context, p[0], p[1], p[2], p[3], p[4], p[5]);
        break;
    }
  }
  cairo_close_path(context);
  layer.SetColour(colour);
  cairo_fill(context);
  cairo_restore(context);
}

// Labels every pixel whose centre is in the thing's box.
void LabelBox(const Thing& thing, int label, LabelMap& labels) {
  const auto first = [&](float edge) {
    return std::clamp(static_cast<int>(std::lround(edge * static_cast<float>(labels.side))), 0, labels.side);
  };
  const int left = first(thing.x - thing.w / 2), right = first(thing.x + thing.w / 2);
  for (int y = first(thing.y - thing.h / 2); y < first(thing.y + thing.h / 2); ++y) {
    for (int x = left; x < right; ++x) {
      labels.thing[static_cast<size_t>(y) * labels.side + x] = static_cast<int16_t>(label);
    }
  }
}

float Brightness(Rgb colour) { return 0.299f * colour.r + 0.587f * colour.g + 0.114f * colour.b; }

void DrawGridLines(const Scene& scene, bool dark_ground, Rendered& rendered) {
  Layer layer(rendered.labels.side, 0.5f, 0.5f, 1, 1, 0);
  const Thing& bar = scene.things.front();
  const float unit = BarUnit(bar), baseline = bar.y + bar.h / 2;
  const double level = dark_ground ? 1 : 0;
  cairo_set_source_rgba(layer.context(), level, level, level, 0.16);
  cairo_set_line_width(layer.context(), 0.008);
  for (int i = 0; i <= kMaxBarValue; ++i) {
    cairo_move_to(layer.context(), 0.03, baseline - unit * static_cast<float>(i));
    cairo_line_to(layer.context(), 0.97, baseline - unit * static_cast<float>(i));
  }
  cairo_stroke(layer.context());
  layer.Composite(rendered, -1);
}

void DrawBar(const Thing& bar, Rgb colour, Rgb ink, const std::array<Glyph, kCharacters>& font,
             Layer& layer) {
  const float height = bar.h - kBarBand;
  layer.SetColour(colour);
  cairo_rectangle(layer.context(), bar.x - bar.w / 2, bar.y + bar.h / 2 - height, bar.w, height);
  cairo_fill(layer.context());
  const Glyph& digit = font[static_cast<size_t>(26 + bar.value)];
  const float width = digit.advance * kBarDigit;
  DrawGlyph(digit, bar.x - width / 2, AnchorY(bar) - kBarDigit / 2, width, kBarDigit, ink, layer);
}

// A plain plate behind the text, in one of the background's own colours.
void DrawPanel(const Scene& scene, Rgb colour, Rendered& rendered) {
  float left = 1, top = 1, right = 0, bottom = 0;
  for (const Thing& thing : scene.things) {
    left = std::min(left, thing.x - thing.w / 2), right = std::max(right, thing.x + thing.w / 2);
    top = std::min(top, thing.y - thing.h / 2), bottom = std::max(bottom, thing.y + thing.h / 2);
  }
  Layer layer(rendered.labels.side, 0.5f, 0.5f, 1, 1, 0);
  layer.SetColour(colour);
  cairo_rectangle(layer.context(), left - 0.03, top - 0.04, right - left + 0.06, bottom - top + 0.08);
  cairo_fill(layer.context());
  layer.Composite(rendered, -1);
}

}  // namespace

Rendered RenderScene(const Scene& scene, const Drawings& drawings, int side, bool dotted) {
  Rendered rendered;
  rendered.picture = Image(side, side);
  rendered.labels.side = side;
  rendered.labels.thing.assign(static_cast<size_t>(side) * side, -1);

  const std::vector<Rgb> colours = ThingColours(scene);
  Background background = ChooseBackground(scene, colours);
  if (dotted && scene.type != SceneType::kChart) background.family = BackgroundFamily::kDots;
  Random random = Random::Stream(scene.style, kPaintStream);
  PaintBackground(background, random, rendered.picture);
  const bool dark_ground = Brightness(background.colours[0]) < 120;
  if (scene.type == SceneType::kChart) DrawGridLines(scene, dark_ground, rendered);
  if (scene.type == SceneType::kText && random.Chance(0.4)) DrawPanel(scene, background.colours[0], rendered);

  const auto& font = drawings.fonts[static_cast<size_t>(scene.font)];
  const Rgb ink = dark_ground ? Rgb{245, 245, 245} : Rgb{15, 15, 15};
  for (size_t i = 0; i < scene.things.size(); ++i) {
    const Thing& thing = scene.things[i];
    const int label = static_cast<int>(i);
    const bool character = thing.kind == ThingKind::kCharacter;
    // Serifs and the tail of Q leave the advance box a little.
    Layer layer(side, thing.x, thing.y, thing.w, thing.h, character ? side / 16 : 1);
    switch (thing.kind) {
      case ThingKind::kObject:
        DrawObject(thing, drawings.objects[static_cast<size_t>(thing.name)], side, layer);
        layer.Composite(rendered, label);
        break;
      case ThingKind::kShape:
        DrawShape(thing, colours[i], layer);
        layer.Composite(rendered, label);
        break;
      case ThingKind::kCharacter:
        DrawGlyph(font[static_cast<size_t>(thing.name)], thing.x - thing.w / 2, thing.y - thing.h / 2,
                  thing.w, thing.h, colours[i], layer);
        layer.Composite(rendered, -1);
        LabelBox(thing, label, rendered.labels);
        break;
      case ThingKind::kBar:
        DrawBar(thing, colours[i], ink, font, layer);
        layer.Composite(rendered, -1);
        LabelBox(thing, label, rendered.labels);
        break;
    }
  }
  return rendered;
}

}  // namespace mobilevlm::world
