// LoadedModel: the two files of a model, checked, and everything that is constant after loading.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "gguf/reader.h"
#include "kernels/kernels.h"
#include "llm/llama.h"
#include "mobilevlm/mobilevlm.h"
#include "ops/rope.h"
#include "projector/projector.h"
#include "schema/config.h"
#include "text/tokenizer.h"
#include "vision/clip_vision.h"

namespace mobilevlm::engine {

// Positions that go through the language model at once while a prompt is read; bounds the scratch memory.
inline constexpr size_t kPrefillChunk = 256;

// The kernels that `isa` of the options or MOBILEVLM_ISA forces, else this CPU's best; an Error names those
// it has.
Result<const KernelTable*> KernelsFor(const LoadOptions& options);

// Immutable after Load; safe to share between threads.
struct LoadedModel {
  GgufFile text_file;
  GgufFile mmproj_file;
  const KernelTable* kernels = nullptr;

  ImageConfig image;
  VisionConfig vision;
  ProjectorConfig projector;
  LlmConfig llm;
  Tokenizer tokenizer;
  size_t context = 0;  // positions per conversation, at most llm.context
  DType kv_type = DType::kF16;
  bool float_activations = false;
  MemoryNeed memory;

  VisionWeights vision_weights;
  ProjectorWeights projector_weights;
  LlmWeights llm_weights;
  RopeTable rope;  // [context, head_dim / 2]

  // Opens and checks both files, that they fit each other, and that there is memory, in this order; only
  // then allocates.
  static Result<std::unique_ptr<const LoadedModel>> Load(const LoadOptions& options);
};

}  // namespace mobilevlm::engine
