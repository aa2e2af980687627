// Scenes, questions, pictures and labels of the mini world, checked against their geometry.
#include "world/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "world/dataset.h"
#include "world/layout.h"
#include "world/names.h"
#include "world/objects.h"
#include "world/render.h"
#include "world/splits.h"
#include "world/test_world.h"

namespace mobilevlm::world {
namespace {

constexpr std::array kSplits = {Split::kTrain, Split::kValidation, Split::kTest};

uint64_t Digest(const Rendered& rendered) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (uint8_t byte : rendered.picture.rgb) hash = (hash ^ byte) * 0x100000001B3ull;
  for (int16_t label : rendered.labels.thing) hash = (hash ^ static_cast<uint16_t>(label)) * 0x100000001B3ull;
  return hash;
}

float LongerSide(const Thing& thing) { return std::max(thing.w, thing.h); }

float CoveredShare(const Thing& a, const Thing& b) {
  const float w = std::min(a.x + a.w / 2, b.x + b.w / 2) - std::max(a.x - a.w / 2, b.x - b.w / 2);
  const float h = std::min(a.y + a.h / 2, b.y + b.h / 2) - std::max(a.y - a.h / 2, b.y - b.h / 2);
  return w > 0 && h > 0 ? w * h / std::min(a.w * a.h, b.w * b.h) : 0;
}

TEST(World, MissingFontNamesItsPackage) {
  WorldOptions options;
  options.emoji_font = "/nonexistent/emoji.ttf";
  const auto no_emoji = World::Create(options);
  ASSERT_FALSE(no_emoji.has_value());
  EXPECT_THAT(no_emoji.error().message, testing::HasSubstr("fonts-noto-color-emoji"));
  options = {};
  options.font_directory = "/nonexistent";
  const auto no_text = World::Create(options);
  ASSERT_FALSE(no_text.has_value());
  EXPECT_THAT(no_text.error().message, testing::HasSubstr("fonts-dejavu-core"));
  // A text font in the place of the drawings has no colour bitmaps.
  options = {};
  options.emoji_font = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
  EXPECT_FALSE(World::Create(options).has_value());
  options = {};
  options.side = 0;
  EXPECT_FALSE(World::Create(options).has_value());
}

TEST(World, SameIndexSamePicture) {
  const Result<World> other = World::Create({});
  ASSERT_TRUE(other.has_value());
  std::set<uint64_t> digests;
  for (uint64_t index = 0; index < 40; ++index) {
    const uint64_t digest = Digest(TheWorld().Render(TheWorld().MakeScene(Split::kTrain, index)));
    EXPECT_EQ(digest, Digest(other->Render(other->MakeScene(Split::kTrain, index))));
    digests.insert(digest);
  }
  EXPECT_EQ(digests.size(), 40u);
}

TEST(World, TwoThreadsDrawTheSame) {
  const auto draw = [](std::vector<uint64_t>& digests) {
    for (uint64_t i = 0; i < 60; ++i) {
      digests.push_back(Digest(TheWorld().Render(TheWorld().MakeScene(Split::kTrain, i))));
    }
  };
  TheWorld();
  std::vector<uint64_t> first, second;
  std::thread thread([&] { draw(first); });
  draw(second);
  thread.join();
  EXPECT_EQ(first, second);
}

TEST(World, SplitsShareNoCombination) {
  std::map<std::string, Split> owner;
  for (Split split : kSplits) {
    for (uint64_t index = 0; index < 3000; ++index) {
      const Scene mixed = TheWorld().MakeScene(split, index);
      const Scene asked = TheWorld().MakeScene(split, Kinds()[index % Kinds().size()], index);
      for (const Scene& scene : {mixed, asked}) {
        const auto [at, added] = owner.emplace(CombinationKey(TheWorld().vocabulary(), scene), split);
        EXPECT_EQ(at->second, split) << at->first;
      }
    }
  }
  EXPECT_GT(owner.size(), 5000u);
}

TEST(World, CombinationKeyIgnoresOrderAndLooks) {
  const Vocabulary& vocabulary = TheWorld().vocabulary();
  Scene scene = TheWorld().MakeScene(Split::kTrain, "relation", 3);
  const std::string key = CombinationKey(vocabulary, scene);
  std::reverse(scene.things.begin(), scene.things.end());
  scene.things.front().x = 0.9f;
  scene.style += 1;
  EXPECT_EQ(CombinationKey(vocabulary, scene), key);
  scene.things.front().name = (scene.things.front().name + 1) % kShapes;
  EXPECT_NE(CombinationKey(vocabulary, scene), key);
}

TEST(World, OnlyTheTestSplitSeesTheLastFont) {
  std::map<Split, int> last_font;
  for (Split split : kSplits) {
    for (uint64_t i = 0; i < 600; ++i) {
      last_font[split] += TheWorld().MakeScene(split, "text", i).font == kTestOnlyFont;
    }
  }
  EXPECT_EQ(last_font[Split::kTrain], 0);
  EXPECT_EQ(last_font[Split::kValidation], 0);
  EXPECT_NEAR(last_font[Split::kTest], 100, 40);
}

void ExpectInsidePicture(const Thing& thing) {
  constexpr float kTolerance = 1e-4f;
  EXPECT_GE(thing.x - thing.w / 2, -kTolerance);
  EXPECT_GE(thing.y - thing.h / 2, -kTolerance);
  EXPECT_LE(thing.x + thing.w / 2, 1 + kTolerance);
  EXPECT_LE(thing.y + thing.h / 2, 1 + kTolerance);
}

void ExpectDifficulty(const Scene& scene) {
  const size_t n = scene.things.size();
  for (const Thing& thing : scene.things) ExpectInsidePicture(thing);
  if (scene.type == SceneType::kText) {
    EXPECT_TRUE(n >= 1 && n <= 5);
    for (const Thing& thing : scene.things) EXPECT_TRUE(thing.h >= kSmallest - 1e-4f && thing.h <= 0.2501f);
    return;
  }
  if (scene.type == SceneType::kChart) {
    EXPECT_TRUE(n >= 3 && n <= 6);
    std::set<int> colours;
    std::vector<int> values;
    for (const Thing& bar : scene.things) {
      colours.insert(bar.colour);
      values.push_back(bar.value);
      EXPECT_TRUE(bar.value >= 1 && bar.value <= 9);
    }
    EXPECT_EQ(colours.size(), n);
    EXPECT_EQ(std::count(values.begin(), values.end(), *std::max_element(values.begin(), values.end())), 1);
    return;
  }
  const bool crowd = scene.type == SceneType::kCrowd;
  EXPECT_TRUE(n >= 1 && n <= (crowd ? 10u : 4u));
  for (size_t i = 0; i < n; ++i) {
    EXPECT_GE(LongerSide(scene.things[i]), 1.0f / 6 - 1e-4f);
    EXPECT_LE(LongerSide(scene.things[i]), 0.5f + 1e-4f);
    for (size_t k = 0; k < i; ++k) {
      EXPECT_LE(CoveredShare(scene.things[i], scene.things[k]), crowd ? 0 : 0.1f + 1e-4f);
    }
  }
}

TEST(World, DifficultyIsWithinBounds) {
  std::map<SceneType, int> types;
  std::map<size_t, int> sizes;
  for (uint64_t i = 0; i < 4000; ++i) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, i);
    ExpectDifficulty(scene);
    ++types[scene.type];
    if (scene.type == SceneType::kObjects) ++sizes[scene.things.size()];
  }
  EXPECT_NEAR(types[SceneType::kObjects], 2200, 120);
  EXPECT_NEAR(types[SceneType::kCrowd], 600, 90);
  EXPECT_NEAR(types[SceneType::kText], 680, 90);
  EXPECT_NEAR(types[SceneType::kChart], 520, 90);
  for (size_t n = 1; n <= 4; ++n) EXPECT_NEAR(sizes[n], 550, 80) << n;
}

// A page is lines of training texts, one below the other, as tall as those of scenes, in one ink.
TEST(World, PagesAreLinesOfTrainingTexts) {
  size_t characters = 0;
  constexpr uint64_t kPages = 300;
  for (uint64_t i = 0; i < kPages; ++i) {
    const Scene page = TheWorld().MakePage(i);
    EXPECT_EQ(page.type, SceneType::kText);
    EXPECT_NE(page.font, kTestOnlyFont);
    std::vector<Scene> lines;
    for (const Thing& thing : page.things) {
      ExpectInsidePicture(thing);
      EXPECT_TRUE(thing.h >= kSmallest - 1e-4f && thing.h <= 0.2501f);
      EXPECT_EQ(thing.colour, page.things.front().colour);
      if (lines.empty() || thing.y != lines.back().things.front().y) {
        lines.emplace_back().type = SceneType::kText;
        if (lines.size() > 1) {
          const Thing& above = lines[lines.size() - 2].things.front();
          EXPECT_LE(above.y + above.h / 2, thing.y - thing.h / 2 + 1e-4f);
        }
      }
      lines.back().things.push_back(thing);
    }
    EXPECT_TRUE(lines.size() >= 3 && lines.size() <= 5) << lines.size();
    for (const Scene& line : lines) EXPECT_EQ(SplitOf(TheWorld().vocabulary(), line), Split::kTrain);
    characters += page.things.size();
  }
  EXPECT_NEAR(static_cast<double>(characters) / kPages, 18, 1);
  EXPECT_NE(TheWorld().Render(TheWorld().MakePage(0)).picture.rgb,
            TheWorld().Render(TheWorld().MakePage(1)).picture.rgb);
}

// Labels stay in the boxes, fill a fair part of them, and characters and bars fill theirs.
TEST(World, LabelsAgreeWithBoxes) {
  for (uint64_t index = 0; index < 400; ++index) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, index);
    const Rendered rendered = TheWorld().Render(scene);
    const int side = rendered.labels.side;
    ASSERT_EQ(rendered.picture.width, side);
    std::vector<int> pixels(scene.things.size());
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const int label = rendered.labels.thing[static_cast<size_t>(y) * side + x];
        if (label < 0) continue;
        ASSERT_LT(label, static_cast<int>(scene.things.size()));
        const Thing& thing = scene.things[static_cast<size_t>(label)];
        ++pixels[static_cast<size_t>(label)];
        EXPECT_LE(std::abs((x + 0.5f) / side - thing.x), thing.w / 2 + 1.0f / side);
        EXPECT_LE(std::abs((y + 0.5f) / side - thing.y), thing.h / 2 + 1.0f / side);
      }
    }
    for (size_t i = 0; i < scene.things.size(); ++i) {
      const Thing& thing = scene.things[i];
      const float box = thing.w * thing.h * side * side;
      const bool whole_box = thing.kind == ThingKind::kCharacter || thing.kind == ThingKind::kBar;
      EXPECT_GT(pixels[i], (whole_box ? 0.85f : 0.1f) * box) << TheWorld().Caption(scene);
    }
  }
}

// A circle in the middle has its own colour in the middle of the picture, and the colour's name is the
// nearest of the eleven.
TEST(World, ShapesHaveTheirColour) {
  int seen = 0;
  for (uint64_t index = 0; index < 300; ++index) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, "colour", index);
    const Rendered rendered = TheWorld().Render(scene);
    for (size_t i = 0; i < scene.things.size(); ++i) {
      const Thing& thing = scene.things[i];
      if (thing.kind != ThingKind::kShape || thing.name == kRing) continue;
      const int x = static_cast<int>(thing.x * 144), y = static_cast<int>(thing.y * 144);
      if (rendered.labels.thing[static_cast<size_t>(y) * 144 + x] != static_cast<int16_t>(i)) continue;
      const uint8_t* rgb = rendered.picture.at(x, y);
      const auto distance = [&](const Colour& colour) {
        return ColourDistance(colour.rgb, {rgb[0], rgb[1], rgb[2]});
      };
      const auto nearest =
          std::min_element(kColours.begin(), kColours.end(),
                           [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
      EXPECT_EQ(nearest - kColours.begin(), thing.colour);
      ++seen;
    }
  }
  EXPECT_GT(seen, 150);
}

TEST(World, ColoursStandOutFromTheBackground) {
  for (uint64_t index = 0; index < 3000; ++index) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, index);
    const std::vector<Rgb> colours = ThingColours(scene);
    const Background background = ChooseBackground(scene, colours);
    for (size_t i = 0; i < colours.size(); ++i) {
      if (scene.things[i].colour < 0) continue;
      for (Rgb ground : background.colours) EXPECT_GT(ColourDistance(colours[i], ground), 80) << index;
    }
  }
}

Scene TwoApplesAndABar() {
  Scene scene;
  Thing apple;
  apple.x = 0.20f, apple.y = 0.20f, apple.w = apple.h = 0.1f;
  scene.things = {apple, apple};
  scene.things[1].x = 0.23f;
  Thing bar;
  bar.kind = ThingKind::kBar;
  bar.name = -1, bar.colour = 4, bar.value = 7;
  bar.x = 0.625f, bar.w = 0.2f, bar.h = 0.7f, bar.y = 0.6f;
  scene.things.push_back(bar);
  return scene;
}

TEST(CellWords, CountsCentresAndPutsValuesAtTheTop) {
  const auto cells = TheWorld().CellWords(TwoApplesAndABar(), 4);  // cells of 0.25
  ASSERT_EQ(cells.size(), 16u);
  const std::string name = TheWorld().vocabulary().objects[0];
  EXPECT_THAT(cells[0], testing::ElementsAre(name, "centre", name, "centre"));
  EXPECT_THAT(cells[1], testing::IsEmpty());
  // The bar reaches from 0.25 to 0.95, its value is printed at 0.30.
  EXPECT_THAT(cells[1 * 4 + 2], testing::ElementsAre("blue", "7", "centre"));
  EXPECT_THAT(cells[2 * 4 + 2], testing::ElementsAre("blue"));
  EXPECT_THAT(cells[3 * 4 + 2], testing::ElementsAre("blue"));
  EXPECT_THAT(cells[15], testing::IsEmpty());
}

TEST(CellWords, EveryThingHasOneCentre) {
  for (uint64_t i = 0; i < 500; ++i) {
    const Scene scene = TheWorld().MakeScene(Split::kTrain, i);
    for (int grid : {1, 6, 9, 12}) {
      size_t centres = 0;
      for (const auto& cell : TheWorld().CellWords(scene, grid)) {
        centres += static_cast<size_t>(std::count(cell.begin(), cell.end(), "centre"));
      }
      EXPECT_EQ(centres, scene.things.size());
    }
  }
}

TEST(Caption, IsWordedByType) {
  Scene scene = TwoApplesAndABar();
  scene.things.resize(1);
  const std::string name = TheWorld().vocabulary().objects[0];
  EXPECT_EQ(TheWorld().Caption(scene), "a " + name + " at the top left.");
  scene.things.push_back({ThingKind::kShape, kRing, 1, 0, 0.5f, 0.5f, 0.2f, 0.2f, 0});
  EXPECT_EQ(TheWorld().Caption(scene), "a " + name + " at the top left and an orange ring in the center.");
  scene.things.insert(scene.things.begin(), scene.things[0]);
  scene.type = SceneType::kCrowd;
  EXPECT_EQ(TheWorld().Caption(scene), "2 " + Plural(Objects()[0]) + " and an orange ring.");
}

}  // namespace
}  // namespace mobilevlm::world
