// The model that a finetune stage begins with: put together from Hugging Face directories of any size, as the
// recipe says.
//
// model.start is a MobileVLM (or LLaVA) directory, or a LLaMA alone; model.vision a CLIP directory whose
// tower is used; the projector comes from model.projector_weights, or from model.start, or is fresh
// (model.projector). Weights may be in any layout of checkpoint/weight_files.h.
#pragma once

#include <string>

#include "base/result.h"
#include "checkpoint/hf_directory.h"
#include "schema/read_config.h"
#include "text/tokenizer.h"
#include "train/modules/mobilevlm.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

struct StartModel {
  HfConfig config;              // as trained; text only: no tower, no projector
  std::string tokenizer_model;  // the bytes of tokenizer.model
  MobileVlm model{nullptr};
};

// Parameters that the recipe does not move have requires_grad false. An Error names the file that is missing
// or wrong.
Result<StartModel> LoadStartModel(const Recipe& recipe);

// The same model with random weights, of the sizes of `config`: for measuring.
MobileVlm MakeModel(const Recipe& recipe, const HfConfig& config, bool initialise);

// A float32 copy of a file's tensor, with what an adapter adds to it.
torch::Tensor ReadTensor(const SourceTensor& source);

Result<Tokenizer> MakeTokenizer(const std::string& tokenizer_model, const std::string& name);

// Sets requires_grad of every parameter as the recipe says.
void Freeze(MobileVlmImpl& model, const Recipe& recipe);

}  // namespace mobilevlm::train
