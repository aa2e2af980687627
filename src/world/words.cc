#include "world/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "world/layout.h"
#include "world/names.h"
#include "world/objects.h"

namespace mobilevlm::world {
namespace {

constexpr float kCellCovered = 0.35f;  // of the cell by the thing's box
constexpr float kBoxInside = 0.60f;    // of the thing's box by the cell

// "a", "a and b", "a, b and c".
std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

float Overlap(float low_a, float high_a, float low_b, float high_b) {
  return std::max(0.0f, std::min(high_a, high_b) - std::max(low_a, low_b));
}

std::vector<std::string> WordsOf(const Vocabulary& vocabulary, const Thing& thing) {
  switch (thing.kind) {
    case ThingKind::kObject:
      return {vocabulary.objects[static_cast<size_t>(thing.name)]};
    case ThingKind::kShape:
      return {vocabulary.colours[static_cast<size_t>(thing.colour)],
              vocabulary.shapes[static_cast<size_t>(thing.name)]};
    case ThingKind::kCharacter:
      return {vocabulary.colours[static_cast<size_t>(thing.colour)],
              vocabulary.characters[static_cast<size_t>(thing.name)]};
    case ThingKind::kBar:
      return {vocabulary.colours[static_cast<size_t>(thing.colour)]};
  }
  MVLM_CHECK(false, "no such kind of thing");
  return {};
}

struct Cell {
  float left, top, size;

  bool Holds(float x, float y) const { return x >= left && x < left + size && y >= top && y < top + size; }
  bool Shows(const Thing& thing) const {
    const float area = Overlap(left, left + size, thing.x - thing.w / 2, thing.x + thing.w / 2) *
                       Overlap(top, top + size, thing.y - thing.h / 2, thing.y + thing.h / 2);
    return area >= kCellCovered * size * size || area >= kBoxInside * thing.w * thing.h;
  }
};

// Things whose anchor is here come with "centre"; things that only reach in are told once a name.
std::vector<std::string> WordsInCell(const Vocabulary& vocabulary, const Scene& scene, const Cell& cell) {
  std::vector<std::string> words;
  std::vector<std::vector<std::string>> told;
  for (const bool anchored : {true, false}) {
    for (const Thing& thing : scene.things) {
      if (cell.Holds(thing.x, AnchorY(thing)) != anchored || (!anchored && !cell.Shows(thing))) continue;
      const std::vector<std::string> names = WordsOf(vocabulary, thing);
      if (!anchored && std::find(told.begin(), told.end(), names) != told.end()) continue;
      told.push_back(names);
      words.insert(words.end(), names.begin(), names.end());
      if (!anchored) continue;
      if (thing.kind == ThingKind::kBar) words.push_back(std::to_string(thing.value));
      words.emplace_back("centre");
    }
  }
  return words;
}

std::string CrowdCaption(const Vocabulary& vocabulary, const Scene& scene) {
  std::vector<std::string> parts;
  std::vector<std::string> told;
  for (const Thing& thing : scene.things) {
    const std::string label = Label(vocabulary, thing);
    if (std::find(told.begin(), told.end(), label) != told.end()) continue;
    told.push_back(label);
    const int count = thing.kind == ThingKind::kObject ? CountOf(scene, thing.kind, thing.name) : 1;
    parts.push_back(count == 1
                        ? WithArticle(label)
                        : fmt::format("{} {}", count, Plural(Objects()[static_cast<size_t>(thing.name)])));
  }
  return Join(parts) + ".";
}

}  // namespace

std::string CaptionOf(const Vocabulary& vocabulary, const Scene& scene) {
  std::vector<std::string> parts;
  switch (scene.type) {
    case SceneType::kCrowd:
      return CrowdCaption(vocabulary, scene);
    case SceneType::kText: {
      std::string text;
      for (const Thing& thing : scene.things) text += Label(vocabulary, thing);
      return fmt::format("the text {} in {}.", text,
                         kColours[static_cast<size_t>(scene.things[0].colour)].name);
    }
    case SceneType::kChart:
      for (const Thing& bar : scene.things) {
        parts.push_back(fmt::format("{} {}", kColours[static_cast<size_t>(bar.colour)].name, bar.value));
      }
      return "a chart with bars " + Join(parts) + ".";
    case SceneType::kObjects:
      for (const Thing& thing : scene.things) {
        const int zone = ZoneAt(thing.x, thing.y);
        const bool side = zone == 3 || zone == 5;
        parts.push_back(fmt::format("{} {} the {}", WithArticle(Label(vocabulary, thing)),
                                    zone == 4 ? "in"
                                    : side    ? "on"
                                              : "at",
                                    ZoneName(zone)));
      }
      return Join(parts) + ".";
  }
  MVLM_CHECK(false, "no such type of scene");
  return {};
}

std::vector<std::vector<std::string>> CellWordsOf(const Vocabulary& vocabulary, const Scene& scene,
                                                  int grid) {
  MVLM_CHECK(grid > 0, "a raster of {} cells", grid);
  std::vector<std::vector<std::string>> cells;
  const float size = 1 / static_cast<float>(grid);
  for (int row = 0; row < grid; ++row) {
    for (int column = 0; column < grid; ++column) {
      const Cell cell{static_cast<float>(column) * size, static_cast<float>(row) * size, size};
      cells.push_back(WordsInCell(vocabulary, scene, cell));
    }
  }
  return cells;
}

}  // namespace mobilevlm::world
