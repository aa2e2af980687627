#include "train/data/scene_mix.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kChoice = 0x51A2E;  // seed of the draw which kind scene number i is for

}  // namespace

Status SceneMix::Check(const std::map<std::string, double>& shares, bool pages) {
  std::vector<std::string> kinds = world::Kinds();
  if (pages) kinds.emplace_back(kPage);
  double total = 0;
  for (const auto& [kind, share] : shares) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      return Fail("mini.scene_shares: wanted one of {}, found '{}'", fmt::join(kinds, ", "), kind);
    }
    if (!(share >= 0))
      return Fail("mini.scene_shares: wanted a share from 0 to 1 for {}, found {}", kind, share);
    total += share;
  }
  if (total > 1) return Fail("mini.scene_shares: wanted 1 at most in all, found {}", total);
  return {};
}

world::Scene SceneMix::Make(uint64_t index) const {
  double at = Random::Stream(kChoice, index).Uniform();
  for (const auto& [kind, share] : shares_) {
    if (at < share && kind == kPage) return world_.MakePage(index);
    if (at < share) return world_.MakeScene(world::Split::kTrain, kind, index);
    at -= share;
  }
  return world_.MakeScene(world::Split::kTrain, index);
}

std::string SceneMix::Name() const {
  std::string name;
  for (const auto& [kind, share] : shares_) name += fmt::format("{}={} ", kind, share);
  return name;
}

}  // namespace mobilevlm::train
