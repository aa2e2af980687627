// The loop's checkpoints: everything that a run needs to go on to the bit.
#pragma once

#include <string>

#include "base/result.h"
#include "data/skip_list.h"
#include "train/loop.h"

namespace mobilevlm::train {

// recipe.toml, as it is run.
Status WriteRecipe(const std::string& directory, const Recipe& recipe);

// DIR/checkpoint-STEP, written by rank 0; all processes call it, because each has a part of the optimizer's
// state. `left_out`: of all processes, with those before a resume.
Status Save(const LoopStage& stage, const LoopOptions& options, int64_t step,
            const data::SkipList::Counts& left_out);

// Where a run continues: the step, and what was seen and left out before it.
struct Beginning {
  int64_t step = 0;  // without a checkpoint
  data::SkipList::Counts left_out;
};
// Loads the newest checkpoint, if there is one, into the stage's module and optimizer. Says what is different
// in its recipe; other data than the stage's is an Error.
Result<Beginning> Resume(const LoopStage& stage, const LoopOptions& options);

}  // namespace mobilevlm::train
