// A scene in words: captions and the raster of words that the tiny language model learns from.
#pragma once

#include "world/world.h"

namespace mobilevlm::world {

std::string CaptionOf(const Vocabulary& vocabulary, const Scene& scene);
// Contract: World::CellWords.
std::vector<std::vector<std::string>> CellWordsOf(const Vocabulary& vocabulary, const Scene& scene, int grid);

}  // namespace mobilevlm::world
