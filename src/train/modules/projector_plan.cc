#include "train/modules/projector_plan.h"

#include "base/check.h"
#include "costs/training.h"
#include "schema/read_config.h"

namespace mobilevlm::train {
namespace {

constexpr const char* kLinearName = "linear";
constexpr const char* kWithoutPegName = "ldpnetv2_no_peg";

}  // namespace

ProjectorPlan ProjectorPlan::Named(const std::string& name, const ProjectorConfig& sizes) {
  ProjectorPlan plan(sizes);
  if (name == kLinearName) {
    plan.config.type = ProjectorType::kMlp;  // the one that keeps the grid
    plan.variant = ProjectorVariant::kLinear;
    return plan;
  }
  if (name == kWithoutPegName) {
    plan.config.type = ProjectorType::kLdpV2;
    plan.variant = ProjectorVariant::kWithoutPeg;
    return plan;
  }
  for (const ProjectorType type : {ProjectorType::kLdp, ProjectorType::kLdpV2, ProjectorType::kMlp}) {
    if (name != HfProjectorName(type)) continue;
    plan.config.type = type;
    return plan;
  }
  MVLM_CHECK(false, "no projector '{}'", name);
}

int ProjectorPlan::token_grid() const {
  if (pools()) return config.grid / pool;
  return config.halves_grid() ? config.grid / 2 : config.grid;
}

std::string ProjectorPlan::name() const {
  const std::string_view base = variant == ProjectorVariant::kLinear       ? kLinearName
                                : variant == ProjectorVariant::kWithoutPeg ? kWithoutPegName
                                                                           : HfProjectorName(config.type);
  return pools() && pool != 2 ? fmt::format("{}, pool {}", base, pool) : std::string(base);
}

Status ProjectorPlan::Check(const std::string& where) const {
  if (!pools()) {
    if (pool != 2) return Fail("{}: mini.pool = {} is for ldpnetv2, found projector {}", where, pool, name());
    return CheckProjectorConfig(config, where);
  }
  if (config.grid % pool == 0) return {};
  return Fail("{}: mini.pool: wanted a divisor of the {} patches a side, found {}", where, config.grid, pool);
}

double ProjectorPlan::ForwardOperations(double pictures) const {
  if (official()) return costs::ProjectorForward(config, pictures);
  constexpr double kTaps = 9;
  double count = FirstProductOperations(1);
  if (variant != ProjectorVariant::kLinear) {
    count += 2.0 * config.grid * config.grid * config.hidden * config.hidden;
    if (variant != ProjectorVariant::kWithoutPeg) count += 2.0 * kTaps * tokens() * config.hidden;
  }
  return pictures * count;
}

double ProjectorPlan::FirstProductOperations(double pictures) const {
  return costs::ProjectorFirstProduct(config, pictures);
}

}  // namespace mobilevlm::train
