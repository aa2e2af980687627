// The drawings a World holds in memory: emoji sprites and glyph outlines, loaded once.
//
// Immutable after loading; all access is const and may be concurrent. FreeType is used only inside
// Load, so that no font face is shared between threads.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "world/world.h"

namespace mobilevlm::world {

// One size of a drawing: premultiplied ARGB in native byte order (Cairo's ARGB32), rows without padding.
struct Sprite {
  int width = 0;
  int height = 0;
  std::vector<uint32_t> pixels;  // [height, width]
};

// The same drawing at falling sizes, each half of the one before; [0] is the font's own bitmap, cut to
// its visible part.
using SpritePyramid = std::vector<Sprite>;

// A step of an outline: kMove and kLine use the last point, kCurve is a cubic with all three.
struct OutlineStep {
  enum class Type : uint8_t { kMove, kLine, kCurve } type;
  std::array<float, 6> points;  // x, y pairs
};

// An outline in units of the font's capital height: x from 0 to `advance`, y downwards from the capital
// line at 0 to the baseline at 1.
struct Glyph {
  float advance = 0;
  std::vector<OutlineStep> outline;
};

inline constexpr int kFonts = 6;
inline constexpr int kTestOnlyFont = kFonts - 1;
inline constexpr int kCharacters = 36;  // A-Z, 0-9

struct Drawings {
  std::vector<SpritePyramid> objects;                        // as Objects()
  std::array<std::array<Glyph, kCharacters>, kFonts> fonts;  // [font][character]
};

// options.emoji_font is Noto Color Emoji with bitmaps (CBDT), as in Debian 12; options.font_directory holds
// the folders of fonts-dejavu-core, fonts-liberation and fonts-freefont-ttf.
Result<Drawings> LoadDrawings(const WorldOptions& options);

}  // namespace mobilevlm::world
