// The training scenes of the mini world: drawn from the world's own mix, but for shares of them that suit
// one kind of question, because the mix has few, or are pages of text, for a tower alone: nothing is asked
// about them.
//
// Thread contract: const, concurrent calls are fine.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "world/world.h"

namespace mobilevlm::train {

class SceneMix {
 public:
  static constexpr const char* kPage = "page";  // the share of World::MakePage

  // shares: of all scenes, those made for a kind; 1 at most in all (Check). The world must outlive this.
  SceneMix(const world::World& world, std::map<std::string, double> shares)
      : world_(world), shares_(std::move(shares)) {}
  // `pages`: may they have a share of them, as in the tower's stage?
  static Status Check(const std::map<std::string, double>& shares, bool pages);

  // Training scene number `index`.
  world::Scene Make(uint64_t index) const;
  // Empty without shares, else different for different ones.
  std::string Name() const;

  const world::World& world() const { return world_; }

 private:
  const world::World& world_;
  std::map<std::string, double> shares_;
};

}  // namespace mobilevlm::train
