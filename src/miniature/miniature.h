// Miniatures of the benchmarks: the official layout on disk, with a few rows and pictures of the mini world,
// so that loading, asking, parsing and scoring can be tried from end to end without the real data.
//
// The same call writes the same bytes. Pictures are PNG files, whatever their names in the layout end with;
// readers look at the content.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "world/world.h"

namespace mobilevlm::miniature {

// The benchmarks, as `mobilevlm eval` names them.
std::vector<std::string_view> Names();

// Writes the layout of one of Names() into `directory`, which is made. `rows`: pictures per part of the
// benchmark.
Status Write(const world::World& world, std::string_view name, int rows, const std::string& directory);

}  // namespace mobilevlm::miniature
