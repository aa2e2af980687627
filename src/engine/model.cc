#include "engine/model.h"

#include <cstdlib>
#include <utility>

#include "engine/draft_policy.h"
#include "engine/memory.h"
#include "engine/tokenizer_loader.h"
#include "kernels/dispatch.h"
#include "schema/read_config.h"

namespace mobilevlm::engine {
namespace {

Result<size_t> ChooseContext(const LoadOptions& options, const LlmConfig& llm) {
  if (options.context < 0) return Fail("the context must not be negative, found {}", options.context);
  if (options.context > llm.context) {
    return Fail("a context of {} positions is wanted, but {} was trained with {}", options.context,
                options.text, llm.context);
  }
  return static_cast<size_t>(options.context == 0 ? llm.context : options.context);
}

std::string ForcedIsa(const LoadOptions& options) {
  if (!options.isa.empty()) return options.isa;
  const char* forced = std::getenv("MOBILEVLM_ISA");
  return forced == nullptr ? "" : forced;
}

MemoryNeed EstimateMemory(const LoadedModel& model) {
  const uint64_t hidden = static_cast<uint64_t>(model.llm.hidden);
  const uint64_t vocab = static_cast<uint64_t>(model.llm.vocab);
  const uint64_t side = static_cast<uint64_t>(model.image.image_size);
  const uint64_t features =
      static_cast<uint64_t>(model.vision.patches()) * static_cast<uint64_t>(model.vision.hidden) +
      static_cast<uint64_t>(model.projector.tokens()) * hidden;
  const uint64_t rope = model.context * static_cast<uint64_t>(model.llm.head_dim);
  const uint64_t plain =
      3 * side * side + features + kPrefillChunk * hidden + (1 + kMostDraftedAuto) * vocab + rope;

  MemoryNeed need;
  need.weights = model.text_file.file_bytes() + model.mmproj_file.file_bytes();
  need.kv_cache = KvCache::Bytes(model.llm, model.kv_type, model.context);
  need.activations = plain * sizeof(float) + VisionScratch::Bytes(model.vision) +
                     ProjectorScratch::Bytes(model.projector) + LlmScratch::Bytes(model.llm, kPrefillChunk);
  return need;
}

// Configs and vocabulary: everything that can be checked before memory is taken.
Result<std::unique_ptr<LoadedModel>> OpenAndCheck(const LoadOptions& options) {
  MVLM_ASSIGN(GgufFile text_file, GgufFile::Open(options.text));
  MVLM_ASSIGN(const LlmConfig llm, ReadLlmConfig(text_file));
  MVLM_ASSIGN(GgufFile mmproj_file, GgufFile::Open(options.mmproj));
  MVLM_ASSIGN(const VisionConfig vision, ReadVisionConfig(mmproj_file));
  MVLM_ASSIGN(const ImageConfig image, ReadImageConfig(mmproj_file));
  MVLM_ASSIGN(const ProjectorConfig projector, ReadProjectorConfig(mmproj_file));
  MVLM_TRY(CheckFit(llm, projector));
  MVLM_ASSIGN(Tokenizer tokenizer, LoadTokenizer(text_file));
  if (tokenizer.size() > llm.vocab) {
    return Fail("{}: the vocabulary has {} pieces, but the embedding table has {} rows", options.text,
                tokenizer.size(), llm.vocab);
  }
  MVLM_ASSIGN(const size_t context, ChooseContext(options, llm));
  MVLM_ASSIGN(const KernelTable* kernels, ChooseKernels(ForcedIsa(options)));
  return std::unique_ptr<LoadedModel>(new LoadedModel{
      .text_file = std::move(text_file),
      .mmproj_file = std::move(mmproj_file),
      .kernels = kernels,
      .image = image,
      .vision = vision,
      .projector = projector,
      .llm = llm,
      .tokenizer = std::move(tokenizer),
      .context = context,
      .kv_type = options.kv == KvType::kF32 ? DType::kF32 : DType::kF16,
      .memory = {},
      .vision_weights = {},
      .projector_weights = {},
      .llm_weights = {},
      .rope = {},
  });
}

}  // namespace

Result<std::unique_ptr<const LoadedModel>> LoadedModel::Load(const LoadOptions& options) {
  MVLM_ASSIGN(std::unique_ptr<LoadedModel> model, OpenAndCheck(options));
  model->memory = EstimateMemory(*model);
  if (const Status fits = CheckMemory(model->memory, options.memory_limit); !fits) {
    return Context(fits.error(), "{}", options.text);
  }
  MVLM_ASSIGN(model->llm_weights, LlmWeights::Bind(model->text_file, model->llm));
  MVLM_ASSIGN(model->vision_weights, VisionWeights::Bind(model->mmproj_file, model->vision));
  MVLM_ASSIGN(model->projector_weights, ProjectorWeights::Bind(model->mmproj_file, model->projector));
  model->rope = RopeTable(model->context, static_cast<size_t>(model->llm.head_dim), model->llm.rope_base);
  return model;
}

}  // namespace mobilevlm::engine
