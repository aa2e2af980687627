#include "eval/world_suite.h"

#include <utility>

#include "world/dataset.h"

namespace mobilevlm::eval {

WorldSuite::WorldSuite(const world::World& world, world::Split split, std::vector<std::string> kinds,
                       uint64_t per_kind)
    : world_(world), split_(split), kinds_(std::move(kinds)), per_kind_(per_kind) {}

std::optional<SuiteItem> WorldSuite::Next() {
  if (next_ == size()) return std::nullopt;
  const std::string& kind = kinds_[next_ / per_kind_];
  const uint64_t index = next_ % per_kind_;
  ++next_;
  const world::Sample sample = world::MakeSample(world_, split_, kind, index);
  world::Rendered rendered = world_.Render(sample.scene);
  return SuiteItem{.kind = kind,
                   .chance = world::ChanceOf(kind),
                   .picture = Picture::FromRgb(rendered.picture.width, rendered.picture.height,
                                               std::move(rendered.picture.rgb)),
                   .question = sample.question.question,
                   .answer = sample.question.answer};
}

}  // namespace mobilevlm::eval
