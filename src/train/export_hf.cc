#include "train/export_hf.h"

#include <filesystem>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/directories.h"
#include "base/read_file.h"
#include "checkpoint/safetensors.h"
#include "schema/write_hf_config.h"
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

}  // namespace

Status WriteHfDirectory(const std::string& directory, const MobileVlm& model,
                        const std::string& tokenizer_model, DType type) {
  MVLM_CHECK(model->config().vision && model->config().projector, "only a whole model can be exported");
  MVLM_TRY(MakeDirectories(directory));
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
  HfConfig config;
  config.llm = model->config().llm;
  config.vision = *model->config().vision;
  config.projector = *model->config().projector;
  return WriteFileAtomically(directory + "/config.json", HfConfigJson(config, type));
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
