#include "engine/model.h"

#include <cstdlib>
#include <utility>

#include "engine/memory.h"
#include "engine/memory_need.h"
#include "kernels/dispatch.h"
#include "schema/read_config.h"
#include "vocab/read_vocab.h"

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

DType CacheType(KvType kv) {
  switch (kv) {
    case KvType::kF32:
      return DType::kF32;
    case KvType::kF16:
      return DType::kF16;
    case KvType::kQ8_0:
      return DType::kQ8_0;
  }
  MVLM_CHECK(false, "cache type {}", static_cast<int>(kv));
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
  MVLM_ASSIGN(const KernelTable* kernels, KernelsFor(options));
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
      .kv_type = CacheType(options.kv),
      .float_activations = options.float_activations,
      .memory = {},
      .vision_weights = {},
      .projector_weights = {},
      .llm_weights = {},
      .rope = {},
  });
}

// The system maps 64 KiB around each page that is read, so reading a norm maps its neighbours, packed
// matrices that had been given back, once more. What is needed later is mapped again then.
void ReleaseFile(const GgufFile& file) {
  for (const GgufTensor& tensor : file.tensors()) file.ReleasePages(tensor);
}

}  // namespace

Result<const KernelTable*> KernelsFor(const LoadOptions& options) {
  if (!options.isa.empty()) return ChooseKernels(options.isa);
  const char* forced = std::getenv("MOBILEVLM_ISA");
  return ChooseKernels(forced == nullptr ? "" : forced);
}

Result<std::unique_ptr<const LoadedModel>> LoadedModel::Load(const LoadOptions& options) {
  MVLM_ASSIGN(std::unique_ptr<LoadedModel> model, OpenAndCheck(options));
  model->memory = TextMemory(model->text_file, model->llm, model->kv_type, model->context) +
                  MmprojMemory(model->mmproj_file, model->image, model->vision, model->projector);
  if (const Status fits = CheckMemory(model->memory, options.memory_limit); !fits) {
    return Context(fits.error(), "{}", options.text);
  }
  ThreadPool pool(options.threads);
  MVLM_ASSIGN(model->llm_weights, LlmWeights::Bind(model->text_file, model->llm, &pool));
  // A wide tower's matrices lose next to nothing by longer blocks; a narrow one, whose sums have few terms
  // over which errors could cancel, loses some and gains no time (docs/performance.md). The exact path keeps
  // them.
  constexpr int kWide = 512;
  const bool long_blocks = model->vision.hidden >= kWide && !options.float_activations;
  const PackScales scales = long_blocks ? PackScales::kLongBlocks : PackScales::kAsStored;
  MVLM_ASSIGN(model->vision_weights, VisionWeights::Bind(model->mmproj_file, model->vision, &pool, scales));
  MVLM_ASSIGN(model->projector_weights, ProjectorWeights::Bind(model->mmproj_file, model->projector, &pool));
  ReleaseFile(model->text_file);
  ReleaseFile(model->mmproj_file);
  model->rope = RopeTable(model->context, static_cast<size_t>(model->llm.head_dim), model->llm.rope_base);
  return model;
}

}  // namespace mobilevlm::engine
