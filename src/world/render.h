// Draws scenes. Pure functions of their arguments, so any number of threads may draw at once; every
// call makes its own Cairo surfaces.
#pragma once

#include <array>
#include <vector>

#include "world/drawings.h"
#include "world/names.h"
#include "world/splits.h"
#include "world/world.h"

namespace mobilevlm::world {

// Two related muted colours that every coloured thing of the scene stands out from.
struct Background {
  BackgroundFamily family = BackgroundFamily::kFlat;
  std::array<Rgb, 2> colours;
};

// The named colour of each thing, varied a little; objects have black, which nobody looks at.
std::vector<Rgb> ThingColours(const Scene& scene);
Background ChooseBackground(const Scene& scene, const std::vector<Rgb>& thing_colours);
// How far two colours look apart: 0 to about 765 (the "redmean" weighting of squared differences).
float ColourDistance(Rgb a, Rgb b);

// `dotted`: WorldOptions::dotted_background.
Rendered RenderScene(const Scene& scene, const Drawings& drawings, int side, bool dotted = false);

}  // namespace mobilevlm::world
