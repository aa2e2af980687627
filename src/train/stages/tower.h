// Stage 0a: the vision tower learns to say, for every patch, what covers it (data/tower_targets.h).
#pragma once

#include "base/result.h"
#include "train/loop.h"
#include "train/mini_config.h"
#include "world/world.h"

namespace mobilevlm::train {

// Writes options.directory + "/tower"; the weights "tower.*" are the tower.
Result<LoopEnd> TrainTower(const world::World& world, const MiniConfig& config, const StageOptions& options,
                           StopSignal& stop);

}  // namespace mobilevlm::train
