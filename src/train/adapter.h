// What stands beside the tensors of a LoRA checkpoint, so that PEFT and `mobilevlm convert --base` read it.
//
//   adapter_model.safetensors  base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight, ..., and the
//   whole
//                              projector (PEFT: modules_to_save), base_model.model.model.mm_projector.*
//   adapter_config.json        rank, alpha, dropout, the base, a pattern for the matrices
#pragma once

#include <string>

#include "base/result.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

inline constexpr const char* kAdapterFile = "adapter_model.safetensors";
inline constexpr const char* kAdapterPrefix = "base_model.model.";

Status WriteAdapterConfig(const std::string& directory, const Recipe& recipe);

}  // namespace mobilevlm::train
