// The mini world's questions as a suite: a split's scenes, kind by kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/suite.h"
#include "world/world.h"

namespace mobilevlm::eval {

// Question i of a kind is the same in every run. The world must outlive the suite.
class WorldSuite {
 public:
  // Each kind is one of world::Kinds().
  WorldSuite(const world::World& world, world::Split split, std::vector<std::string> kinds,
             uint64_t per_kind);

  uint64_t size() const { return kinds_.size() * per_kind_; }
  std::optional<SuiteItem> Next();  // nothing after the last one

 private:
  const world::World& world_;
  world::Split split_;
  std::vector<std::string> kinds_;
  uint64_t per_kind_;
  uint64_t next_ = 0;
};

}  // namespace mobilevlm::eval
