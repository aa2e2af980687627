#include "train/data/tower_targets.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "image/preprocess.h"

namespace mobilevlm::train {
namespace {

// Index of the thing that covers most of the patch, or -1.
int CoveringThing(const world::LabelMap& labels, int left, int top, int patch, std::vector<int>& votes) {
  std::fill(votes.begin(), votes.end(), 0);
  for (int y = top; y < top + patch; ++y) {
    for (int x = left; x < left + patch; ++x) {
      const int thing =
          labels.thing[static_cast<size_t>(y) * static_cast<size_t>(labels.side) + static_cast<size_t>(x)];
      if (thing >= 0) ++votes[static_cast<size_t>(thing)];
    }
  }
  const auto best = std::max_element(votes.begin(), votes.end());
  if (best == votes.end() || *best < kCoverShare * patch * patch) return -1;
  return static_cast<int>(best - votes.begin());
}

std::vector<int> PixelsOfThings(const world::LabelMap& labels, size_t things) {
  std::vector<int> pixels(things);
  for (const auto thing : labels.thing) {
    if (thing >= 0) ++pixels[static_cast<size_t>(thing)];
  }
  return pixels;
}

struct TargetRows {
  int64_t* cover;
  int64_t* colour;
  int64_t* centre;
  int64_t* value;
  float* offsets;
  float* shares;
};

void FillTargets(const world::Scene& scene, const world::LabelMap& labels, const CoverClasses& classes,
                 int grid, const TargetRows& rows) {
  const int patch = labels.side / grid;
  std::vector<int> votes(scene.things.size());
  const std::vector<int> pixels = PixelsOfThings(labels, scene.things.size());
  for (int row = 0; row < grid; ++row) {
    for (int col = 0; col < grid; ++col) {
      const int64_t p = static_cast<int64_t>(row) * grid + col;
      const int found = CoveringThing(labels, col * patch, row * patch, patch, votes);
      rows.centre[p] = classes.background();
      rows.shares[p] = 0;
      for (size_t t = 0; t < votes.size(); ++t) {
        const world::ThingKind kind = scene.things[t].kind;
        if (votes[t] == 0 || (kind != world::ThingKind::kObject && kind != world::ThingKind::kShape))
          continue;
        rows.shares[p] += static_cast<float>(votes[t]) / static_cast<float>(pixels[t]);
      }
      if (found < 0) {
        rows.cover[p] = classes.background();
        rows.colour[p] = classes.no_colour();
        rows.value[p] = 0;
        std::fill_n(rows.offsets + 4 * p, 4, 0.0f);
        continue;
      }
      const world::Thing& thing = scene.things[static_cast<size_t>(found)];
      rows.cover[p] = classes.OfThing(thing);
      rows.colour[p] = thing.colour >= 0 ? thing.colour : classes.no_colour();
      rows.value[p] = thing.kind == world::ThingKind::kBar ? thing.value : 0;
      const float step = 1.0f / static_cast<float>(grid);
      const float x = (static_cast<float>(col) + 0.5f) * step, y = (static_cast<float>(row) + 0.5f) * step;
      const std::array<float, 4> offsets{thing.x - x, thing.y - y, thing.w, thing.h};
      for (size_t i = 0; i < 4; ++i) rows.offsets[4 * p + static_cast<int64_t>(i)] = offsets[i] / kOffsetUnit;
    }
  }
  for (const world::Thing& thing : scene.things) {
    const int col = std::clamp(static_cast<int>(thing.x * static_cast<float>(grid)), 0, grid - 1);
    const int row = std::clamp(static_cast<int>(thing.y * static_cast<float>(grid)), 0, grid - 1);
    rows.centre[static_cast<int64_t>(row) * grid + col] = classes.OfThing(thing);
  }
}

}  // namespace

CoverClasses::CoverClasses(const world::Vocabulary& vocabulary)
    : objects(static_cast<int>(vocabulary.objects.size())),
      shapes(static_cast<int>(vocabulary.shapes.size())),
      characters(static_cast<int>(vocabulary.characters.size())),
      colours(static_cast<int>(vocabulary.colours.size())) {}

int CoverClasses::OfThing(const world::Thing& thing) const {
  switch (thing.kind) {
    case world::ThingKind::kObject:
      return thing.name;
    case world::ThingKind::kShape:
      return objects + thing.name;
    case world::ThingKind::kCharacter:
      return objects + shapes + thing.name;
    case world::ThingKind::kBar:
      return bar();
  }
  MVLM_CHECK(false, "no such kind of thing");
}

TowerBatch MakeTowerBatch(const world::World& world, std::span<const world::Scene> scenes,
                          const ImageConfig& image, int grid) {
  const CoverClasses classes(world.vocabulary());
  const int64_t batch = static_cast<int64_t>(scenes.size()), side = image.image_size;
  const int64_t patches = static_cast<int64_t>(grid) * grid;
  const auto integers = torch::TensorOptions().dtype(torch::kInt64);
  TowerBatch result{torch::empty({batch, 3, side, side}),
                    torch::empty({batch * patches}, integers),
                    torch::empty({batch * patches}, integers),
                    torch::empty({batch * patches}, integers),
                    torch::empty({batch * patches}, integers),
                    torch::empty({batch * patches, 4}),
                    torch::empty({batch * patches})};
  for (int64_t i = 0; i < batch; ++i) {
    const world::Scene& scene = scenes[static_cast<size_t>(i)];
    const world::Rendered rendered = world.Render(scene);
    MVLM_CHECK(rendered.picture.width == side && rendered.labels.side == side,
               "the world draws another size");
    const size_t elements = static_cast<size_t>(3 * side * side);
    Normalise(rendered.picture, image.mean, image.std,
              {result.pixels.data_ptr<float>() + i * 3 * side * side, elements});
    FillTargets(
        scene, rendered.labels, classes, grid,
        {result.cover.data_ptr<int64_t>() + i * patches, result.colour.data_ptr<int64_t>() + i * patches,
         result.centre.data_ptr<int64_t>() + i * patches, result.value.data_ptr<int64_t>() + i * patches,
         result.offsets.data_ptr<float>() + i * patches * 4, result.shares.data_ptr<float>() + i * patches});
  }
  return result;
}

}  // namespace mobilevlm::train
