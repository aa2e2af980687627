// Scenes as data: which things, where and how large. No drawing happens here.
//
// A scene is made in two steps so that the right split is found cheaply: Compose chooses what it holds,
// Arrange finds places. All sizes are fractions of the picture's side.
#pragma once

#include <array>
#include <vector>

#include "base/random.h"
#include "world/drawings.h"
#include "world/world.h"

namespace mobilevlm::world {

inline constexpr float kSmallest = 1.0f / 6;  // longer extent of objects and shapes, height of text
inline constexpr float kLargest = 1.0f / 2;
inline constexpr float kLargestText = 1.0f / 4;
inline constexpr float kMaxRotation = 12 * 3.14159265f / 180;
inline constexpr float kMaxCovered = 0.1f;  // of the smaller of two boxes
inline constexpr int kMaxThings = 4;
inline constexpr int kMaxCount = 8;
inline constexpr int kMaxTextLength = 5;
inline constexpr int kMinLines = 3, kMaxLines = 5;  // of a page
inline constexpr int kMinBars = 3, kMaxBars = 6;
inline constexpr int kMaxBarValue = 9;

// A bar's box is its rectangle and above it a band with the printed value; the digits' height is this
// share of the side, and the band is a little higher.
inline constexpr float kBarDigit = 0.085f;
inline constexpr float kBarBand = 0.105f;
// Relative frequency of the tallest bar's value 2, 3, ..., 9.
inline constexpr std::array kTallestWeights = {5, 7, 9, 11, 13, 15, 16, 16};
inline constexpr int kTallestTotal = 92;
// Height of one unit of a chart, read back from any of its bars.
float BarUnit(const Thing& bar);
// The point that stands for a thing: its centre, or a bar's printed value.
float AnchorY(const Thing& thing);

// What a kind of question needs of an objects scene.
struct ObjectsWish {
  int things = 1;                   // 1 to 4
  double shape_probability = 0.35;  // of each thing
  int object = -1;                  // the only object, if things is 1
  int shape = -1;                   // one of the things is this shape
  int colour = -1;                  // one of the things is a shape of this colour
};
Scene ComposeObjects(const ObjectsWish& wish, Random& random);
// `count` copies of one object, 0 to kMaxCount, and `others` other things, 0 to 2.
Scene ComposeCrowd(int count, int others, Random& random);
Scene ComposeText(Split split, Random& random);
Scene ComposeChart(Random& random);

// Gives every thing a place and size and the scene a style, and sorts into reading order.
void Arrange(Scene& scene, const Drawings& drawings, Random& random);
// Texts, kMinLines to kMaxLines of them, below each other as one scene, in the font and colour of the first.
Scene ArrangePage(const std::vector<Scene>& lines, const Drawings& drawings, Random& random);

}  // namespace mobilevlm::world
