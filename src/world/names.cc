#include "world/names.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "world/drawings.h"
#include "world/objects.h"

namespace mobilevlm::world {
namespace {

constexpr std::array<std::string_view, kShapes> kShapeNames = {"circle", "square",  "triangle", "star",
                                                               "heart",  "diamond", "cross",    "ring"};
constexpr std::array<std::string_view, kZones> kZoneNames = {
    "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"};

int Third(float coordinate) { return std::clamp(static_cast<int>(coordinate * 3), 0, 2); }

bool NearBorder(float coordinate) {
  return std::abs(coordinate - 1.0f / 3) < kZoneMargin || std::abs(coordinate - 2.0f / 3) < kZoneMargin;
}

}  // namespace

Vocabulary MakeVocabulary() {
  Vocabulary vocabulary;
  for (const ObjectInfo& object : Objects()) vocabulary.objects.emplace_back(object.name);
  for (std::string_view name : kShapeNames) vocabulary.shapes.emplace_back(name);
  for (const Colour& colour : kColours) vocabulary.colours.emplace_back(colour.name);
  for (int i = 0; i < kCharacters; ++i) {
    vocabulary.characters.emplace_back(1, static_cast<char>(i < 26 ? 'A' + i : '0' + i - 26));
  }
  return vocabulary;
}

std::string Label(const Vocabulary& vocabulary, const Thing& thing) {
  switch (thing.kind) {
    case ThingKind::kObject:
      return vocabulary.objects.at(static_cast<size_t>(thing.name));
    case ThingKind::kShape:
      return vocabulary.colours.at(static_cast<size_t>(thing.colour)) + " " +
             vocabulary.shapes.at(static_cast<size_t>(thing.name));
    case ThingKind::kCharacter:
      return vocabulary.characters.at(static_cast<size_t>(thing.name));
    case ThingKind::kBar:
      return vocabulary.colours.at(static_cast<size_t>(thing.colour)) + " bar";
  }
  MVLM_CHECK(false, "no such kind of thing");
  return {};
}

std::string WithArticle(std::string_view noun) {
  const bool vowel = std::string_view("aeiou").find(noun.front()) != std::string_view::npos;
  const bool an = (vowel && !noun.starts_with("uni")) || noun.starts_with("hour");
  return std::string(an ? "an " : "a ") + std::string(noun);
}

int ZoneAt(float x, float y) { return Third(y) * 3 + Third(x); }

std::optional<int> ClearZone(float x, float y) {
  if (NearBorder(x) || NearBorder(y)) return std::nullopt;
  return ZoneAt(x, y);
}

std::string_view ZoneName(int zone) { return kZoneNames.at(static_cast<size_t>(zone)); }

int CountOf(const Scene& scene, ThingKind kind, int name) {
  return static_cast<int>(std::count_if(scene.things.begin(), scene.things.end(), [&](const Thing& thing) {
    return thing.kind == kind && thing.name == name;
  }));
}

}  // namespace mobilevlm::world
