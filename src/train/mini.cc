#include "train/mini.h"

#include <algorithm>

#include "train/loop.h"
#include "train/stages/tower.h"
#include "train/stop_signal.h"
#include "world/world.h"

namespace mobilevlm::train {
namespace {

StageOptions Complete(const MiniPlan& plan, StageOptions stage) {
  stage.directory = plan.directory;
  stage.threads = plan.threads;
  stage.loaders = plan.loaders;
  stage.seed = plan.seed;
  stage.checkpoint_minutes = plan.checkpoint_minutes;
  if (plan.micro_batch > 0) stage.micro_batch = plan.micro_batch;
  if (plan.validate_every > 0) stage.validate_every = plan.validate_every;
  return stage;
}

}  // namespace

const std::vector<std::string>& MiniPlan::StageNames() {
  static const std::vector<std::string> names{"tower"};
  return names;
}

Status RunMini(const MiniPlan& plan, const std::vector<std::string>& stages) {
  StopSignal stop;
  MVLM_ASSIGN(const world::World world, world::World::Create({.side = plan.config.vision.image_size}));
  for (const std::string& name : MiniPlan::StageNames()) {
    if (!stages.empty() && std::find(stages.begin(), stages.end(), name) == stages.end()) continue;
    if (StageFinished(plan.directory + "/" + name)) {
      fmt::print(stderr, "{}: finished already\n", name);
      continue;
    }
    MVLM_ASSIGN(const LoopEnd end, TrainTower(world, plan.config, Complete(plan, plan.tower), stop));
    if (end == LoopEnd::kStopped) return {};
  }
  return {};
}

}  // namespace mobilevlm::train
