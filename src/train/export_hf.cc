#include "train/export_hf.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/read_file.h"
#include "checkpoint/safetensors.h"
#include "train/checkpoint.h"
#include "train/tokenizer_training.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kLargestTokenizer = 16 << 20;

torch::ScalarType TorchType(DType type) {
  switch (type) {
    case DType::kF32:
      return torch::kFloat32;
    case DType::kF16:
      return torch::kHalf;
    case DType::kBF16:
      return torch::kBFloat16;
    default:
      MVLM_CHECK(false, "weights cannot be exported as {}", DTypeName(type));
  }
}

std::string TorchTypeName(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kF16 ? "float16" : "bfloat16";
}

std::string ActivationName(VisionActivation activation) {
  return activation == VisionActivation::kQuickGelu ? "quick_gelu"
         : activation == VisionActivation::kGelu    ? "gelu"
                                                    : "silu";
}

}  // namespace

std::string HfConfigJson(const MobileVlmConfig& config, DType type) {
  const LlmConfig& llm = config.llm;
  const VisionConfig& vision = *config.vision;
  const nlohmann::ordered_json json = {
      {"architectures", {"MobileLlamaForCausalLM"}},
      {"model_type", "mobilevlm"},
      {"hidden_size", llm.hidden},
      {"intermediate_size", llm.intermediate},
      {"num_hidden_layers", llm.layers},
      {"num_attention_heads", llm.heads},
      {"num_key_value_heads", llm.kv_heads},
      {"vocab_size", llm.vocab},
      {"rms_norm_eps", std::stod(fmt::format("{}", llm.rms_eps))},  // 1e-06, not its float neighbour
      {"rope_theta", llm.rope_base},
      {"rope_scaling", nullptr},
      {"max_position_embeddings", llm.context},
      {"hidden_act", "silu"},
      {"bos_token_id", 1},
      {"eos_token_id", 2},
      {"pad_token_id", 0},
      {"tie_word_embeddings", false},
      {"torch_dtype", TorchTypeName(type)},
      {"mm_projector_type", "ldpnetv2"},
      {"mm_hidden_size", vision.hidden},
      {"mm_vision_select_layer", -1},
      {"mm_vision_select_feature", "patch"},
      {"vision_tower_type", "clip"},
      {"image_aspect_ratio", "pad"},
      {"mm_use_im_start_end", false},
      {"mm_use_im_patch_token", false},
      {"use_mm_proj", true},
      {"vision_config",
       {{"hidden_size", vision.hidden},
        {"num_hidden_layers", vision.stored_layers},
        {"num_attention_heads", vision.heads},
        {"intermediate_size", vision.intermediate},
        {"image_size", vision.image_size},
        {"patch_size", vision.patch_size},
        {"layer_norm_eps", std::stod(fmt::format("{}", vision.layer_norm_eps))},
        {"hidden_act", ActivationName(vision.activation)}}}};
  return json.dump(1) + "\n";
}

Status WriteHfDirectory(const std::string& directory, const MobileVlm& model,
                        const std::string& tokenizer_model, DType type) {
  MVLM_CHECK(model->config().vision && model->config().projector, "only a whole model can be exported");
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Fail("{}: cannot create the directory: {}", directory, error.message());
  std::vector<torch::Tensor> values;  // keep the bytes alive
  std::vector<NamedTensor> tensors;
  for (const auto& item : model->named_parameters()) {
    values.push_back(item.value().detach().to(TorchType(type)).contiguous());
    const torch::Tensor& value = values.back();
    tensors.push_back({item.key(),
                       type,
                       std::vector<uint64_t>(value.sizes().begin(), value.sizes().end()),
                       {static_cast<const std::byte*>(value.data_ptr()), value.nbytes()}});
  }
  MVLM_TRY(WriteSafetensors(directory + "/model.safetensors", tensors, {{"format", "pt"}}));
  MVLM_TRY(WriteFileAtomically(directory + "/tokenizer.model", tokenizer_model));
  return WriteFileAtomically(directory + "/config.json", HfConfigJson(model->config(), type));
}

Status ExportMini(const std::string& directory, const MiniConfig& config, DType type) {
  MVLM_ASSIGN(const std::string tokenizer_model, ReadFile(directory + "/tokenizer.model", kLargestTokenizer));
  MVLM_ASSIGN(const Tokenizer tokenizer, LoadTokenizer(directory + "/tokenizer.model"));
  MobileVlm model(MobileVlmConfig{config.LlmWith(tokenizer), config.projector(), config.vision});

  const std::string multitask = directory + "/multitask/checkpoint.pt";
  const std::string source =
      std::filesystem::exists(multitask) ? multitask : directory + "/align/checkpoint.pt";
  MVLM_ASSIGN(const Checkpoint decoder, ReadCheckpoint(source));
  MVLM_ASSIGN(const Checkpoint tower, ReadCheckpoint(directory + "/tower/checkpoint.pt"));
  NamedTensors weights = WithoutPrefix(decoder.tensors, "model:");
  for (const auto& [name, tensor] : WithoutPrefix(tower.tensors, "model:tower.")) {
    weights["model.vision_tower." + name] = tensor;
  }
  if (auto status = LoadModule(*model, weights, ""); !status) return Context(status.error(), "{}", directory);
  MVLM_TRY(WriteHfDirectory(directory + "/hf", model, tokenizer_model, type));
  fmt::print(stderr, "wrote {}/hf from {}\n", directory, source);
  return {};
}

}  // namespace mobilevlm::train
