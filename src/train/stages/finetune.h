// Training of a model of any size on annotation files: the paper's stages, LoRA, and text alone. What moves,
// at which rates, on which data: all of it is the recipe's.
//
// The checkpoints are what the next step needs: a Hugging Face directory; with LoRA a PEFT adapter
// (adapter.h); where only the projector moves, the projector (mm_projector.safetensors).
#pragma once

#include <string>

#include "base/result.h"
#include "train/loop.h"

namespace mobilevlm::train {

// `parallel` already holds the recipe's numbers and the processes.
Result<LoopEnd> Finetune(const Recipe& recipe, const std::string& run_directory,
                         const ParallelOptions& parallel, StopSignal& stop);

}  // namespace mobilevlm::train
