// The words of the mini world: vocabulary tables and how things are called in questions and captions.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "world/world.h"

namespace mobilevlm::world {

enum Shape { kCircle, kSquare, kTriangle, kStar, kHeart, kDiamond, kCross, kRing, kShapes };

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
};
struct Colour {
  std::string_view name;
  Rgb rgb;
};
inline constexpr std::array<Colour, 11> kColours = {{
    {"red", {222, 36, 36}},
    {"orange", {250, 134, 18}},
    {"yellow", {250, 218, 34}},
    {"green", {34, 160, 60}},
    {"blue", {36, 84, 222}},
    {"purple", {128, 44, 170}},
    {"pink", {250, 132, 190}},
    {"brown", {118, 68, 32}},
    {"black", {18, 18, 18}},
    {"white", {250, 250, 250}},
    {"gray", {128, 128, 128}},
}};

Vocabulary MakeVocabulary();

// "dog", "red circle", "K" or "blue bar".
std::string Label(const Vocabulary& vocabulary, const Thing& thing);
// "a dog", "an apple".
std::string WithArticle(std::string_view noun);

// The part of the picture that holds a point: row * 3 + column of the 3x3 thirds.
int ZoneAt(float x, float y);
// The same, or nullopt within 3 % of the side from a border between two thirds: such a place is not asked
// about.
std::optional<int> ClearZone(float x, float y);
// "top left", "top", ..., "center", ..., "bottom right".
std::string_view ZoneName(int zone);
inline constexpr int kZones = 9;
inline constexpr float kZoneMargin = 0.03f;

// How many things of this kind and name the scene holds.
int CountOf(const Scene& scene, ThingKind kind, int name);

}  // namespace mobilevlm::world
