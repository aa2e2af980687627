// Trace: every stage of one greedy run, in float32, for comparison with PyTorch stage by stage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/runtime.h"
#include "image/image.h"

namespace mobilevlm::engine {

struct TraceInput {
  Image picture;  // decoded, EXIF not applied
  ImageFit fit = ImageFit::kPad;
  // The ids around the picture's visual tokens, taken as they are: no BOS is added.
  std::vector<int> ids_before;
  std::vector<int> ids_after;
  int tokens = 0;             // greedy ids to generate, not stopping at the end-of-sequence id
  uint64_t memory_limit = 0;  // bytes the outputs may take; 0: what the system has available now
};

struct TraceOutput {
  Image pixels;                        // [S, S, 3]
  std::vector<float> vision_features;  // [patches, vision_hidden]
  std::vector<float> visual_tokens;    // [visual tokens, hidden]
  std::vector<float> prompt_logits;    // [before + visual + after, vocab]
  std::vector<int> greedy_ids;         // [tokens]
};

// The ids before and after the picture that the v1 template gives for `prompt`.
Status TracePrompt(const LoadedModel& model, const std::string& prompt, TraceInput& input);

// The runtime must have been loaded with an f32 cache. An Error if an id is outside the vocabulary, or the
// context or the memory too small.
Result<TraceOutput> Trace(Runtime& runtime, const TraceInput& input);

// Writes pixels.npy, vision_features.npy, visual_tokens.npy, prompt_logits.npy and result.json (ids_before,
// ids_after, greedy_ids) into `directory`, which is made if it does not exist.
Status WriteTrace(const LoadedModel& model, const TraceInput& input, const TraceOutput& output,
                  const std::string& directory);

}  // namespace mobilevlm::engine
