// A trained mini model whose weights another run begins with (model.start of the mini recipes): the bundled
// one made better, on any machine, by `mobilevlm convert --to hf` and `mobilevlm train mini`.
#pragma once

#include <string>

#include "base/result.h"
#include "train/mini_config.h"
#include "train/optim.h"

namespace mobilevlm::train {

struct MiniStart {
  std::string tokenizer_model;  // the bytes of tokenizer.model: the decoder's rows belong to its pieces
  NamedTensors tower;           // float32, as ClipVisionTower names its parameters
  NamedTensors rest;  // float32, by official name: decoder, and projector if the recipe has its type
};

// An Error names the tensor that is missing or has another shape than the
// recipe's sizes ask for.
Result<MiniStart> ReadMiniStart(const std::string& hf_directory, const MiniConfig& config);

}  // namespace mobilevlm::train
