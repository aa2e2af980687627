#include "engine/trace.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/directories.h"
#include "base/units.h"
#include "engine/memory.h"
#include "prompt/assemble.h"
#include "sample/sampler.h"
#include "tensor/npy.h"

namespace mobilevlm::engine {
namespace {

size_t Size(int value) { return static_cast<size_t>(value); }

Status CheckIds(const std::vector<int>& ids, int vocab) {
  for (const int id : ids) {
    if (id < 0 || id >= vocab) return Fail("id {} is outside the vocabulary of {}", id, vocab);
  }
  return {};
}

// Every position's logits are kept, which can be more than the model itself.
Status CheckOutputMemory(const LoadedModel& model, size_t prompt, uint64_t limit) {
  const uint64_t features = static_cast<uint64_t>(model.vision.patches()) * Size(model.vision.hidden);
  const uint64_t tokens = static_cast<uint64_t>(model.projector.tokens()) * Size(model.projector.hidden);
  const uint64_t logits = static_cast<uint64_t>(prompt) * Size(model.llm.vocab);
  const uint64_t bytes = (features + tokens + logits) * sizeof(float);
  const uint64_t available = limit != 0 ? limit : AvailableMemory();
  if (bytes <= available) return {};
  return Fail("the trace of {} positions needs {} of memory, but only {} is available", prompt,
              FormatBytes(bytes), FormatBytes(available));
}

// The whole prompt's logits, [positions, vocab], chunk by chunk.
void ReadPrompt(Runtime& runtime, const std::vector<Position>& positions, KvCache& cache, Mat<float> logits) {
  for (size_t begin = 0; begin < positions.size(); begin += kPrefillChunk) {
    const size_t count = std::min(kPrefillChunk, positions.size() - begin);
    runtime.pipeline().Prefill({&positions[begin], count}, cache, logits.Rows(begin, count));
  }
}

}  // namespace

Status TracePrompt(const LoadedModel& model, const std::string& prompt, TraceInput& input) {
  MVLM_ASSIGN(const Prompt assembled,
              AssemblePrompt(model.tokenizer, ChatTemplate::kV1, "", {Turn{prompt, "", 1}}));
  bool after = false;
  for (const PromptSegment& segment : assembled.segments) {
    std::vector<int>& ids = after ? input.ids_after : input.ids_before;
    ids.insert(ids.end(), segment.ids.begin(), segment.ids.end());
    after = after || segment.is_image;
  }
  return {};
}

Result<TraceOutput> Trace(Runtime& runtime, const TraceInput& input) {
  const LoadedModel& model = runtime.model();
  MVLM_CHECK(model.kv_type == DType::kF32);
  MVLM_TRY(CheckIds(input.ids_before, model.llm.vocab));
  MVLM_TRY(CheckIds(input.ids_after, model.llm.vocab));
  if (input.tokens < 0) return Fail("the number of tokens must not be negative, found {}", input.tokens);
  const size_t visual = Size(model.projector.tokens());
  const size_t prompt = input.ids_before.size() + visual + input.ids_after.size();
  const size_t generated = input.tokens > 0 ? Size(input.tokens) - 1 : 0;  // the last id is never read
  if (prompt + generated > model.context) {
    return Fail("the prompt takes {} positions and {} more are to be read, but the context holds {}", prompt,
                generated, model.context);
  }

  MVLM_TRY(CheckOutputMemory(model, prompt, input.memory_limit));

  TraceOutput output;
  Pipeline& pipeline = runtime.pipeline();
  output.pixels = pipeline.Preprocess(input.picture, input.fit);
  const size_t patches = Size(model.vision.patches());
  output.vision_features.resize(patches * Size(model.vision.hidden));
  const Mat<float> features(output.vision_features.data(), patches, Size(model.vision.hidden));
  pipeline.VisionFeatures(output.pixels, features);

  output.visual_tokens.resize(visual * Size(model.projector.hidden));
  const Mat<float> tokens(output.visual_tokens.data(), visual, Size(model.projector.hidden));
  pipeline.VisualTokens(features, tokens);

  std::vector<Position> positions;
  for (const int id : input.ids_before) positions.push_back({.id = id});
  for (size_t i = 0; i < visual; ++i) positions.push_back({.embedding = tokens.row(i)});
  for (const int id : input.ids_after) positions.push_back({.id = id});

  MVLM_ASSIGN(KvCache cache, runtime.NewCache());
  const size_t vocab = Size(model.llm.vocab);
  output.prompt_logits.resize(prompt * vocab);
  const Mat<float> prompt_logits(output.prompt_logits.data(), prompt, vocab);
  ReadPrompt(runtime, positions, cache, prompt_logits);

  std::vector<float> logits(prompt_logits.row(prompt - 1), prompt_logits.row(prompt - 1) + vocab);
  while (output.greedy_ids.size() < Size(input.tokens)) {
    const int id = ArgMax(logits);
    if (id < 0) return Fail("the model produced no finite logit");
    output.greedy_ids.push_back(id);
    if (output.greedy_ids.size() == Size(input.tokens)) break;
    pipeline.Step(id, cache, Mat<float>(logits.data(), 1, vocab));
  }
  return output;
}

Status WriteTrace(const LoadedModel& model, const TraceInput& input, const TraceOutput& output,
                  const std::string& directory) {
  MVLM_TRY(MakeDirectories(directory));
  const auto path = [&](const char* name) { return (std::filesystem::path(directory) / name).string(); };
  const auto write = [&](const char* name, const std::vector<float>& values, size_t columns) {
    const std::array<size_t, 2> shape{values.size() / columns, columns};
    return WriteNpy(path(name), shape, std::span<const float>(values));
  };
  const std::array<size_t, 3> pixel_shape{Size(output.pixels.height), Size(output.pixels.width), 3};
  MVLM_TRY(WriteNpy(path("pixels.npy"), pixel_shape, std::span<const uint8_t>(output.pixels.rgb)));
  MVLM_TRY(write("vision_features.npy", output.vision_features, Size(model.vision.hidden)));
  MVLM_TRY(write("visual_tokens.npy", output.visual_tokens, Size(model.projector.hidden)));
  MVLM_TRY(write("prompt_logits.npy", output.prompt_logits, Size(model.llm.vocab)));
  const nlohmann::ordered_json result{
      {"ids_before", input.ids_before}, {"ids_after", input.ids_after}, {"greedy_ids", output.greedy_ids}};
  return WriteFileAtomically(path("result.json"), result.dump() + "\n");
}

}  // namespace mobilevlm::engine
