// Stage 0b: the tiny LLaMA learns the world's language without pictures. Where the visual tokens will
// be, it sees for every cell of the grid the summed embeddings of the words for what is there.
#pragma once

#include "base/result.h"
#include "text/tokenizer.h"
#include "train/loop.h"
#include "train/mini_config.h"
#include "world/world.h"

namespace mobilevlm::train {

// Writes options.directory + "/language": weights "model.*" and "lm_head.*".
Result<LoopEnd> TrainLanguage(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                              const StageOptions& options, StopSignal& stop);

}  // namespace mobilevlm::train
