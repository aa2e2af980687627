#include "train/recipe/recipe.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "schema/tensors.h"

namespace mobilevlm::train {
namespace {

constexpr const char* kPartNames[] = {"tower", "projector", "language"};

}  // namespace

int64_t Recipe::Warmup(int64_t steps) const {
  const int64_t wanted =
      schedule.warmup_steps > 0
          ? schedule.warmup_steps
          : static_cast<int64_t>(std::ceil(schedule.warmup_ratio * static_cast<double>(steps)));
  return std::min(wanted, steps);
}

double Recipe::Factor(int64_t step) const {
  const int64_t steps = schedule.steps, warmup = Warmup(steps);
  if (step < warmup) {
    return static_cast<double>(schedule.warmup_from_zero ? step : step + 1) / static_cast<double>(warmup);
  }
  if (step >= steps) return schedule.final_factor;
  const double progress = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
  return schedule.final_factor +
         (1.0 - schedule.final_factor) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

ModelPart PartOf(const std::string& parameter) {
  if (parameter.starts_with("model.vision_tower.")) return ModelPart::kTower;
  if (parameter.starts_with(kHfProjectorPrefix)) return ModelPart::kProjector;
  return ModelPart::kLanguage;
}

bool IsTrained(const Recipe& recipe, const std::string& parameter) {
  const ModelPart part = PartOf(parameter);
  if (recipe.lora.rank > 0 && part == ModelPart::kLanguage) {
    return parameter.find(".lora_") != std::string::npos;
  }
  const std::vector<std::string>& parts = recipe.model.train;
  return std::find(parts.begin(), parts.end(), kPartNames[static_cast<size_t>(part)]) != parts.end();
}

}  // namespace mobilevlm::train
