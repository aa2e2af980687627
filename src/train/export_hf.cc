#include "train/export_hf.h"

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/directories.h"
#include "base/read_file.h"
#include "schema/write_hf_config.h"
#include "train/checkpoint.h"
#include "train/runlog/checkpoint_directory.h"
#include "train/tokenizer_training.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kLargestTokenizer = 16 << 20;

}  // namespace

Status CheckExport(const ProjectorPlan& projector) {
  if (projector.official()) return {};
  return Fail(
      "export: the projector {} has no GGUF form; name the stages to train (--stage), `mobilevlm-train "
      "score` measures it",
      projector.name());
}

Status WriteHfDirectory(const std::string& directory, const MobileVlm& model,
                        const std::string& tokenizer_model, DType type) {
  MVLM_CHECK(model->config().vision && model->config().projector, "only a whole model can be exported");
  MVLM_TRY(CheckExport(*model->config().projector));
  MVLM_TRY(MakeDirectories(directory));
  NamedTensors tensors;
  for (const auto& [name, tensor] : ModuleTensors(*model, ""))
    tensors[name] = tensor.detach().to(TorchType(type));
  MVLM_TRY(WriteTensors(directory + "/model.safetensors", tensors));
  HfConfig config;
  config.llm = model->config().llm;
  config.vision = *model->config().vision;
  config.projector = model->config().projector->config;
  return WriteHfConfig(directory, config, tokenizer_model, type);
}

Status WriteHfConfig(const std::string& directory, const HfConfig& config, const std::string& tokenizer_model,
                     DType type) {
  MVLM_TRY(WriteFileAtomically(directory + "/tokenizer.model", tokenizer_model));
  return WriteFileAtomically(directory + "/config.json", HfConfigJson(config, type));
}

std::string LastStage(const std::string& directory) {
  return LatestCheckpoint(directory + "/multitask") ? "multitask" : "align";
}

Status ExportMini(const std::string& directory, const MiniConfig& config, DType type) {
  MVLM_ASSIGN(const std::string tokenizer_model, ReadFile(directory + "/tokenizer.model", kLargestTokenizer));
  MVLM_ASSIGN(const Tokenizer tokenizer, LoadTokenizer(directory + "/tokenizer.model"));
  MobileVlmConfig sizes;
  sizes.llm = config.LlmWith(tokenizer);
  sizes.projector = config.projector();
  sizes.vision = config.vision;
  MobileVlm model(sizes);

  const std::string last = directory + "/" + LastStage(directory);
  MVLM_ASSIGN(const TensorFile decoder, ReadStageWeights(last));
  MVLM_ASSIGN(const TensorFile tower, ReadStageWeights(directory + "/tower"));
  NamedTensors weights = decoder.tensors;
  for (const auto& [name, tensor] : WithoutPrefix(tower.tensors, "tower.")) {
    weights["model.vision_tower." + name] = tensor;
  }
  if (auto status = LoadModule(*model, weights, ""); !status) return Context(status.error(), "{}", directory);
  MVLM_TRY(WriteHfDirectory(directory + "/hf", model, tokenizer_model, type));
  fmt::print(stderr, "wrote {}/hf from {}\n", directory, last);
  return {};
}

}  // namespace mobilevlm::train
