#include "train/mini_start.h"

#include "checkpoint/hf_directory.h"
#include "schema/tensors.h"
#include "train/checkpoint.h"
#include "train/start_model.h"

namespace mobilevlm::train {
namespace {

constexpr std::string_view kTowerPrefix = "model.vision_tower.";

// Shapes say the rest.
Status CheckLayers(const char* part, int wanted, int found, const std::string& directory) {
  if (wanted == found) return {};
  return Fail("model.start: {}: wanted {} blocks in the {}, as the recipe says, found {}", directory, wanted,
              part, found);
}

}  // namespace

Result<MiniStart> ReadMiniStart(const std::string& hf_directory, const MiniConfig& config) {
  MVLM_ASSIGN(const HfDirectory files, HfDirectory::Open(hf_directory));
  if (!files.config.multimodal) return Fail("model.start: {}: is a language model alone", hf_directory);
  MVLM_TRY(CheckLayers("decoder", config.llm.layers, files.config.llm.layers, hf_directory));
  MVLM_TRY(
      CheckLayers("tower", config.vision.stored_layers, files.config.vision.stored_layers, hf_directory));

  MiniStart start;
  start.tokenizer_model = files.tokenizer_model;
  MVLM_ASSIGN(const Tokenizer tokenizer, MakeTokenizer(files.tokenizer_model, hf_directory));
  std::vector<TensorSpec> rest = LlmTensors(config.LlmWith(tokenizer));
  const ProjectorPlan projector = config.projector();
  if (projector.official() && projector.config.type == files.config.projector.type) {
    for (TensorSpec& spec : ProjectorTensors(projector.config)) rest.push_back(std::move(spec));
  }
  for (const TensorSpec& spec : rest) {
    MVLM_ASSIGN(const SourceTensor source, files.Require(spec));
    start.rest[spec.hf_name] = ReadTensor(source);
  }
  for (const TensorSpec& spec : VisionTensors(config.vision)) {
    MVLM_ASSIGN(const SourceTensor source, files.Require(spec));
    start.tower[spec.hf_name.substr(kTowerPrefix.size())] = ReadTensor(source);
  }
  return start;
}

}  // namespace mobilevlm::train
