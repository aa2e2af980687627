#include "schema/write_hf_config.h"

#include <nlohmann/json.hpp>

#include "base/check.h"

namespace mobilevlm {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string TorchTypeName(DType type) {
  switch (type) {
    case DType::kF32:
      return "float32";
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    default:
      MVLM_CHECK(false, "torch has no {}", DTypeName(type));
      return "";
  }
}

std::string ActivationName(VisionActivation activation) {
  switch (activation) {
    case VisionActivation::kQuickGelu:
      return "quick_gelu";
    case VisionActivation::kGelu:
      return "gelu";
    case VisionActivation::kSilu:
      return "silu";
  }
  return "";
}

// 1e-06, not its float neighbour.
double Shortest(float value) { return std::stod(fmt::format("{}", value)); }

void AddMultimodal(OrderedJson& json, const HfConfig& config) {
  const VisionConfig& vision = config.vision;
  json["mm_projector_type"] = HfProjectorName(config.projector.type);
  json["mm_hidden_size"] = vision.hidden;
  json["mm_vision_select_layer"] = vision.used_layers - vision.stored_layers - 1;
  json["mm_vision_select_feature"] = "patch";
  json["vision_tower_type"] = "clip";
  json["image_aspect_ratio"] = "pad";
  json["mm_use_im_start_end"] = false;
  json["mm_use_im_patch_token"] = false;
  json["use_mm_proj"] = true;
  json["vision_config"] = {{"hidden_size", vision.hidden},
                           {"num_hidden_layers", vision.stored_layers},
                           {"num_attention_heads", vision.heads},
                           {"intermediate_size", vision.intermediate},
                           {"image_size", vision.image_size},
                           {"patch_size", vision.patch_size},
                           {"layer_norm_eps", Shortest(vision.layer_norm_eps)},
                           {"hidden_act", ActivationName(vision.activation)}};
}

}  // namespace

std::string HfConfigJson(const HfConfig& config, DType type) {
  const LlmConfig& llm = config.llm;
  OrderedJson json = {{"architectures", {config.multimodal ? "MobileLlamaForCausalLM" : "LlamaForCausalLM"}},
                      {"model_type", config.multimodal ? "mobilevlm" : "llama"},
                      {"hidden_size", llm.hidden},
                      {"intermediate_size", llm.intermediate},
                      {"num_hidden_layers", llm.layers},
                      {"num_attention_heads", llm.heads},
                      {"num_key_value_heads", llm.kv_heads},
                      {"vocab_size", llm.vocab},
                      {"rms_norm_eps", Shortest(llm.rms_eps)},
                      {"rope_theta", llm.rope_base},
                      {"rope_scaling", nullptr},
                      {"max_position_embeddings", llm.context},
                      {"hidden_act", "silu"},
                      {"bos_token_id", config.bos},
                      {"eos_token_id", config.eos},
                      {"pad_token_id", 0},
                      {"tie_word_embeddings", false},
                      {"torch_dtype", TorchTypeName(type)}};
  if (config.multimodal) AddMultimodal(json, config);
  return json.dump(1) + "\n";
}

}  // namespace mobilevlm
