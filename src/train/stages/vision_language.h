// Stages 1 and 2 of the paper at mini scale, on cached features of the frozen tower.
//
// align:     captions, plain template; projector at its own learning rate, whole decoder trained.
// multitask: questions of all kinds, v1 template, up to [mini] most_rounds of them a scene; projector and
// decoder trained.
//
// For experiments the recipe may have another projector (mini.projector, mini.pool), freeze a part in a stage
// (model.train, as V1 froze the decoder in the first), or leave align out (mini.from = "language": multitask
// then begins with a fresh projector and has align's loss beside its own).
#pragma once

#include "base/result.h"
#include "text/tokenizer.h"
#include "train/loop.h"
#include "train/mini_config.h"
#include "world/world.h"

namespace mobilevlm::train {

// Starts from directory/tower and directory/language, writes directory/align.
Result<LoopEnd> TrainAlign(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                           const StageOptions& options, StopSignal& stop);

// Starts from directory/tower and directory/align (or mini.from), writes directory/multitask.
Result<LoopEnd> TrainMultitask(const world::World& world, const Tokenizer& tokenizer,
                               const MiniConfig& config, const StageOptions& options, StopSignal& stop);

}  // namespace mobilevlm::train
