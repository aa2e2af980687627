// The trained model as a Hugging Face directory: config.json with the official keys, model.safetensors
// with the official tensor names, tokenizer.model. `mobilevlm convert` takes it from there.
#pragma once

#include <string>

#include "base/result.h"
#include "schema/read_config.h"
#include "tensor/dtype.h"
#include "train/mini_config.h"
#include "train/modules/mobilevlm.h"

namespace mobilevlm::train {

// An Error if the projector is one that only the trainer runs.
Status CheckExport(const ProjectorPlan& projector);

// `model` must have tower and projector; `type` is F32, F16 or BF16. Creates the directory. Exactly the
// blocks that run are stored.
Status WriteHfDirectory(const std::string& directory, const MobileVlm& model,
                        const std::string& tokenizer_model, DType type);

// config.json and tokenizer.model alone, beside tensors that are there already.
Status WriteHfConfig(const std::string& directory, const HfConfig& config, const std::string& tokenizer_model,
                     DType type);

// The stage of a mini run that has its newest weights: "multitask" if it was begun, else "align".
std::string LastStage(const std::string& directory);

// CheckExport, then joins directory/tower and directory/LastStage() into directory/hf.
Status ExportMini(const std::string& directory, const MiniConfig& config, DType type);

}  // namespace mobilevlm::train
