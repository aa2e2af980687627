#include "train/adapter.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"

namespace mobilevlm::train {

Status WriteAdapterConfig(const std::string& directory, const Recipe& recipe) {
  // A pattern, because the tower has q_proj and k_proj too, under encoder.layers.
  constexpr const char* kTargets =
      ".*model\\.layers\\.\\d+\\.(self_attn\\.(q|k|v|o)_proj|mlp\\.(gate|up|down)_proj)";
  nlohmann::ordered_json json = {{"peft_type", "LORA"},
                                 {"task_type", "CAUSAL_LM"},
                                 {"base_model_name_or_path", recipe.model.start},
                                 {"r", recipe.lora.rank},
                                 {"lora_alpha", recipe.lora.alpha},
                                 {"lora_dropout", recipe.lora.dropout},
                                 {"bias", "none"},
                                 {"fan_in_fan_out", false},
                                 {"init_lora_weights", true},
                                 {"inference_mode", true},
                                 {"target_modules", kTargets},
                                 {"modules_to_save", nullptr}};
  const bool projector = IsTrained(recipe, "model.mm_projector.mlp.mlp.0.weight");
  if (projector) json["modules_to_save"] = {"mm_projector"};
  return WriteFileAtomically(directory + "/adapter_config.json", json.dump(1) + "\n");
}

}  // namespace mobilevlm::train
