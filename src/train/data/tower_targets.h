// Dense supervision of the vision tower: what covers each patch, which colour, whose centre lies in it,
// how high a bar is, where the covering thing's middle and extent are, and how much of a thing lies in it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "schema/config.h"
#include "world/world.h"

namespace mobilevlm::train {

// Class numbers of what covers a patch: objects, then shapes, characters, one for bars, one for
// background (the last).
struct CoverClasses {
  explicit CoverClasses(const world::Vocabulary& vocabulary);

  int objects, shapes, characters, colours;

  int bar() const { return objects + shapes + characters; }
  int background() const { return bar() + 1; }
  int count() const { return bar() + 2; }
  int no_colour() const { return colours; }
  int OfThing(const world::Thing& thing) const;
};

// Bars count 1 to 9; 0 stands for "no bar".
inline constexpr int kBarValues = 10;
// A patch belongs to the thing that covers most of it, if that is at least this share of its pixels.
inline constexpr double kCoverShare = 0.3;
// Offsets and extents are given in quarters of the side, so that they are about as large as 1.
inline constexpr float kOffsetUnit = 0.25f;

struct TowerBatch {
  torch::Tensor pixels;   // [batch, 3, side, side], normalised
  torch::Tensor cover;    // [batch * patches] class, int64
  torch::Tensor colour;   // [batch * patches] colour or no_colour(), int64
  torch::Tensor centre;   // [batch * patches] class of the thing whose centre lies here or background()
  torch::Tensor value;    // [batch * patches] 0 to 9, int64
  torch::Tensor offsets;  // [batch * patches, 4] patch centre to thing centre (x, y), then its w, h
  // [batch * patches] how much of its objects and shapes lies here: each divides itself among the patches by
  // its pixels, so that all patches of a picture add up to their number.
  torch::Tensor shares;

  int64_t batch() const { return pixels.size(0); }
};

// Renders the scenes and derives the targets for a tower with this grid.
TowerBatch MakeTowerBatch(const world::World& world, std::span<const world::Scene> scenes,
                          const ImageConfig& image, int grid);

}  // namespace mobilevlm::train
