// The world that the tests of this folder share: its fonts are loaded once.
#pragma once

#include <utility>

#include "base/check.h"
#include "world/world.h"

namespace mobilevlm::world {

inline const World& TheWorld() {
  static const World world = [] {
    Result<World> created = World::Create({});
    MVLM_CHECK(created.has_value(), "{}", created.error().message);
    return std::move(*created);
  }();
  return world;
}

}  // namespace mobilevlm::world
