// Configs into a Hugging Face config.json: what ParseHfConfig of read_config.h reads back.
#pragma once

#include <string>

#include "schema/read_config.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// The official keys and, unless the model is text only, `vision_config`. `type` (F32, F16 or BF16) becomes
// torch_dtype. vision.stored_layers are in the checkpoint, so mm_vision_select_layer is used - stored - 1.
std::string HfConfigJson(const HfConfig& config, DType type);

}  // namespace mobilevlm
