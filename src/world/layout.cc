#include "world/layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "world/names.h"
#include "world/objects.h"

namespace mobilevlm::world {
namespace {

float Between(double low, double high, Random& random) {
  return static_cast<float>(random.Uniform(low, high));
}

int RandomObject(Random& random) { return static_cast<int>(random.Below(Objects().size())); }

Thing RandomThing(double shape_probability, Random& random) {
  Thing thing;
  if (random.Chance(shape_probability)) {
    thing.kind = ThingKind::kShape;
    thing.name = static_cast<int>(random.Below(kShapes));
    thing.colour = static_cast<int>(random.Below(kColours.size()));
  } else {
    thing.name = RandomObject(random);
  }
  return thing;
}

bool SameLabel(const Thing& a, const Thing& b) {
  return a.kind == b.kind && a.name == b.name && a.colour == b.colour;
}

bool Holds(const Scene& scene, const Thing& thing) {
  return std::any_of(scene.things.begin(), scene.things.end(),
                     [&](const Thing& other) { return SameLabel(thing, other); });
}

// Adds a thing whose label is new to the scene.
void AddOther(Scene& scene, double shape_probability, Random& random) {
  Thing thing;
  do {
    thing = RandomThing(shape_probability, random);
  } while (Holds(scene, thing) || (thing.kind == ThingKind::kObject && thing.name == scene.subject));
  scene.things.push_back(thing);
}

// Sets rotation and extent so that the longer side of the rotated drawing's box is `size`.
void SetSize(Thing& thing, float size, float rotation, const Drawings& drawings) {
  float width = 1, height = 1;
  if (thing.kind == ThingKind::kObject) {
    const Sprite& sprite = drawings.objects[static_cast<size_t>(thing.name)].front();
    width = static_cast<float>(sprite.width);
    height = static_cast<float>(sprite.height);
  } else if (thing.name == kCircle || thing.name == kRing) {
    rotation = 0;
  } else if (thing.name == kDiamond) {
    width = 0.7f;  // so that a turned square is no diamond
  }
  const float c = std::cos(rotation), s = std::abs(std::sin(rotation));
  const float box_width = width * c + height * s;
  const float box_height = width * s + height * c;
  const float scale = size / std::max(box_width, box_height);
  thing.rotation = rotation;
  thing.w = box_width * scale;
  thing.h = box_height * scale;
}

// Share of the smaller box that two boxes, each grown by `gap` on every side, have in common.
float Covered(const Thing& a, const Thing& b, float gap) {
  const float width =
      std::min(a.x + a.w / 2, b.x + b.w / 2) - std::max(a.x - a.w / 2, b.x - b.w / 2) + 2 * gap;
  const float height =
      std::min(a.y + a.h / 2, b.y + b.h / 2) - std::max(a.y - a.h / 2, b.y - b.h / 2) + 2 * gap;
  if (width <= 0 || height <= 0) return 0;
  return width * height / std::min(a.w * a.h, b.w * b.h);
}

bool Free(const std::vector<Thing>& things, size_t i, float allowed, float gap) {
  for (size_t k = 0; k < i; ++k) {
    if (Covered(things[k], things[i], gap) > allowed) return false;
  }
  return true;
}

// A centre inside one third of an axis, away from its inner borders, with the whole extent in the picture.
float PlaceInThird(int third, float extent, Random& random) {
  const float low = std::max(third == 0 ? 0.0f : static_cast<float>(third) / 3 + kZoneMargin, extent / 2);
  const float high =
      std::min(third == 2 ? 1.0f : static_cast<float>(third + 1) / 3 - kZoneMargin, 1 - extent / 2);
  return Between(low, high, random);
}

// Every thing has its own zone of the 3x3, all zones equally likely, so that answers to "where" are
// balanced; sizes give way when things collide, zones do not.
void ArrangeObjects(Scene& scene, const Drawings& drawings, Random& random) {
  std::array<int, kZones> zones;
  std::iota(zones.begin(), zones.end(), 0);
  random.Shuffle(std::span<int>(zones));
  const size_t n = scene.things.size();
  constexpr std::array<float, kMaxThings + 1> kLargestOf = {0, kLargest, 0.46f, 0.42f, 0.38f};
  float largest = kLargestOf[n];
  for (bool placed = false; !placed; largest = std::max(kSmallest, largest * 0.96f)) {
    placed = true;
    for (size_t i = 0; i < n && placed; ++i) {
      Thing& thing = scene.things[i];
      const float rotation = Between(-kMaxRotation, kMaxRotation, random);
      SetSize(thing, Between(kSmallest, largest, random), rotation, drawings);
      thing.x = PlaceInThird(zones[i] % 3, thing.w, random);
      thing.y = PlaceInThird(zones[i] / 3, thing.h, random);
      placed = Free(scene.things, i, kMaxCovered, 0);
    }
  }
}

// No overlaps at all; the copies of the subject have nearly one size.
void ArrangeCrowd(Scene& scene, const Drawings& drawings, Random& random) {
  const size_t n = scene.things.size();
  const float largest = n <= 2 ? 0.36f : n <= 4 ? 0.30f : n <= 6 ? 0.26f : 0.22f;
  float size = Between(kSmallest * 1.1, largest, random);
  for (bool placed = false; !placed; size = std::max(kSmallest * 1.1f, size * 0.95f)) {
    placed = true;
    for (size_t i = 0; i < n && placed; ++i) {
      Thing& thing = scene.things[i];
      for (int attempt = 0; attempt < 40; ++attempt) {
        const float rotation = Between(-kMaxRotation, kMaxRotation, random);
        SetSize(thing, size * Between(0.92f, 1.08f, random), rotation, drawings);
        thing.x = Between(thing.w / 2, 1 - thing.w / 2, random);
        thing.y = Between(thing.h / 2, 1 - thing.h / 2, random);
        placed = Free(scene.things, i, 0, 0.005f);
        if (placed) break;
      }
    }
  }
}

// The band of the picture that a line of text lies in.
struct LineBand {
  double top = 0.05, bottom = 0.95;
  float tallest = kLargestText;
};

// A line of text somewhere in its band; the boxes are the characters' advances, squeezed if it is too long.
void ArrangeLine(std::span<Thing> line, const std::array<Glyph, kCharacters>& font, const LineBand& band,
                 Random& random) {
  float advances = 0;
  for (const Thing& thing : line) advances += font[static_cast<size_t>(thing.name)].advance;
  constexpr float kLongest = 0.92f;
  const float wanted = Between(kSmallest, band.tallest, random);
  const float height = std::clamp(wanted, kSmallest, std::max(kSmallest, kLongest / advances));
  const float squeeze = std::min(1.0f, kLongest / (advances * height));
  const float width = advances * height * squeeze;
  float left = Between(0.04, 0.96 - width, random);
  const float y = Between(band.top + height / 2, band.bottom - height / 2, random);
  for (Thing& thing : line) {
    thing.w = font[static_cast<size_t>(thing.name)].advance * height * squeeze;
    thing.h = height;
    thing.x = left + thing.w / 2;
    thing.y = y;
    left += thing.w;
  }
}

void ArrangeChart(Scene& scene, Random& random) {
  const float unit = Between(0.083, 0.092, random);
  const float baseline = Between(0.945, 0.97, random);
  const float pitch = Between(0.88, 0.92, random) / static_cast<float>(scene.things.size());
  const float width = pitch * Between(0.66, 0.82, random);
  float x = 0.5f - pitch * static_cast<float>(scene.things.size() - 1) / 2;
  for (Thing& bar : scene.things) {
    bar.w = width;
    bar.h = static_cast<float>(bar.value) * unit + kBarBand;
    bar.x = x;
    bar.y = baseline - bar.h / 2;
    x += pitch;
  }
}

// Nearly uniform, so that the value cannot be guessed, but rarely low, or too many bars would be.
int DrawTallest(Random& random) {
  int point = static_cast<int>(random.Below(kTallestTotal));
  int value = 2;
  for (int weight : kTallestWeights) {
    point -= weight;
    if (point < 0) break;
    ++value;
  }
  return value;
}

}  // namespace

float BarUnit(const Thing& bar) { return (bar.h - kBarBand) / static_cast<float>(bar.value); }

float AnchorY(const Thing& thing) {
  return thing.kind == ThingKind::kBar ? thing.y - thing.h / 2 + kBarBand / 2 : thing.y;
}

Scene ComposeObjects(const ObjectsWish& wish, Random& random) {
  Scene scene;
  if (wish.object >= 0) {
    scene.things.emplace_back().name = wish.object;
    return scene;
  }
  if (wish.shape >= 0 || wish.colour >= 0) {
    Thing thing = RandomThing(1, random);
    if (wish.shape >= 0) thing.name = wish.shape;
    if (wish.colour >= 0) thing.colour = wish.colour;
    scene.things.push_back(thing);
  }
  while (static_cast<int>(scene.things.size()) < wish.things) AddOther(scene, wish.shape_probability, random);
  return scene;
}

Scene ComposeCrowd(int count, int others, Random& random) {
  Scene scene;
  scene.type = SceneType::kCrowd;
  scene.subject = RandomObject(random);
  for (int i = 0; i < count; ++i) scene.things.emplace_back().name = scene.subject;
  for (int i = 0; i < others; ++i) AddOther(scene, 0.2, random);
  return scene;
}

Scene ComposeText(Split split, Random& random) {
  Scene scene;
  scene.type = SceneType::kText;
  scene.font = static_cast<int>(random.Below(split == Split::kTest ? kFonts : kFonts - 1));
  const int colour = static_cast<int>(random.Below(kColours.size()));
  // Only 36 strings have one character, and two of them are in the test split: they must not be many.
  const int length = random.Chance(0.06) ? 1 : random.Between(2, kMaxTextLength);
  for (int i = 0; i < length; ++i) {
    Thing& thing = scene.things.emplace_back();
    thing.kind = ThingKind::kCharacter;
    thing.name = static_cast<int>(random.Below(kCharacters));
    thing.colour = colour;
  }
  return scene;
}

Scene ComposeChart(Random& random) {
  Scene scene;
  scene.type = SceneType::kChart;
  scene.font = random.Chance(0.5) ? 0 : 3;
  std::array<int, kColours.size()> colours;
  std::iota(colours.begin(), colours.end(), 0);
  random.Shuffle(std::span<int>(colours));
  const int tallest = DrawTallest(random);  // the only one so tall
  const int bars = random.Between(kMinBars, kMaxBars);
  const int where = random.Between(0, bars - 1);
  for (int i = 0; i < bars; ++i) {
    Thing& bar = scene.things.emplace_back();
    bar.kind = ThingKind::kBar;
    bar.name = -1;
    bar.colour = colours[static_cast<size_t>(i)];
    bar.value =
        i == where ? tallest : std::max(random.Between(1, tallest - 1), random.Between(1, tallest - 1));
  }
  return scene;
}

void Arrange(Scene& scene, const Drawings& drawings, Random& random) {
  scene.style = random.Next();
  switch (scene.type) {
    case SceneType::kObjects:
      ArrangeObjects(scene, drawings, random);
      break;
    case SceneType::kCrowd:
      ArrangeCrowd(scene, drawings, random);
      break;
    case SceneType::kText:
      return ArrangeLine(scene.things, drawings.fonts[static_cast<size_t>(scene.font)], {}, random);
    case SceneType::kChart:
      return ArrangeChart(scene, random);
  }
  std::sort(scene.things.begin(), scene.things.end(), [](const Thing& a, const Thing& b) {
    const int row_a = ZoneAt(a.x, a.y) / 3, row_b = ZoneAt(b.x, b.y) / 3;
    return row_a != row_b ? row_a < row_b : a.x < b.x;
  });
}

Scene ArrangePage(const std::vector<Scene>& lines, const Drawings& drawings, Random& random) {
  Scene page = lines.front();
  page.things.clear();
  page.style = random.Next();
  const auto& font = drawings.fonts[static_cast<size_t>(page.font)];
  constexpr double kMargin = 0.02;
  const double pitch = (1 - 2 * kMargin) / static_cast<double>(lines.size());
  const float tallest = std::min(kLargestText, static_cast<float>(pitch));
  double top = kMargin;
  for (const Scene& line : lines) {
    const size_t first = page.things.size();
    page.things.insert(page.things.end(), line.things.begin(), line.things.end());
    ArrangeLine(std::span(page.things).subspan(first), font, {top, top + pitch, tallest}, random);
    top += pitch;
  }
  for (Thing& thing : page.things) thing.colour = page.things.front().colour;
  return page;
}

}  // namespace mobilevlm::world
