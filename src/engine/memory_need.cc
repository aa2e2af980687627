#include "engine/memory_need.h"

#include <algorithm>

#include "engine/draft_policy.h"
#include "engine/model.h"
#include "ops/float_panels.h"
#include "ops/pack_weights.h"

namespace mobilevlm::engine {
namespace {

uint64_t U(int value) { return static_cast<uint64_t>(value); }

// The mapped file, and what packing adds to it: matrices are copied into panels and their pages given back,
// and panels are rounded up to whole pairs and widen some scales (kernels/packed.h), or hold 64 outputs each
// (the text model's float matrices).
uint64_t WeightBytes(const GgufFile& file, bool pack_floats) {
  uint64_t bytes = file.file_bytes();
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.shape.size() < 2) continue;
    // Extents of 1 in front of a matrix do not count (SameShape).
    const auto out_at =
        std::find_if(tensor.shape.begin(), tensor.shape.end() - 2, [](uint64_t n) { return n != 1; });
    const uint64_t out = *out_at, in = tensor.elements() / out;
    if (const std::optional<PackedFormat> format = FindPackedFormat(tensor.type)) {
      bytes += PackedPanels(out) * PanelBytes(*format, in) - tensor.data.size();
    } else if (pack_floats) {
      bytes += FloatPanels(out) * in * FloatPanelStep(tensor.type) - tensor.data.size();
    }
  }
  return bytes;
}

}  // namespace

MemoryNeed TextMemory(const GgufFile& file, const LlmConfig& llm, DType kv, size_t context) {
  const uint64_t rope = context * U(llm.head_dim);  // sines and cosines
  const uint64_t hidden_states = kPrefillChunk * U(llm.hidden);
  const uint64_t logits = (1 + kMostDraftedAuto) * U(llm.vocab);  // of a token and the drafts behind it
  MemoryNeed need;
  need.weights = WeightBytes(file, true);
  need.kv_cache = KvCache::Bytes(llm, kv, context);
  need.activations = (rope + hidden_states + logits) * sizeof(float) + LlmScratch::Bytes(llm, kPrefillChunk);
  return need;
}

MemoryNeed MmprojMemory(const GgufFile& file, const ImageConfig& image, const VisionConfig& vision,
                        const ProjectorConfig& projector) {
  const uint64_t pixels = 3 * U(image.image_size) * U(image.image_size);
  const uint64_t features = U(vision.patches()) * U(vision.hidden);
  const uint64_t tokens = U(projector.tokens()) * U(projector.hidden);
  MemoryNeed need;
  need.weights = WeightBytes(file, false);
  need.activations = (pixels + features + tokens) * sizeof(float) + VisionScratch::Bytes(vision) +
                     ProjectorScratch::Bytes(projector);
  return need;
}

MemoryNeed operator+(const MemoryNeed& a, const MemoryNeed& b) {
  return {.weights = a.weights + b.weights,
          .kv_cache = a.kv_cache + b.kv_cache,
          .activations = a.activations + b.activations};
}

}  // namespace mobilevlm::engine
