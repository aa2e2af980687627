// Workload: one model and the steps of one question about one picture, each callable on its own, so that
// each can be timed. It drives the stages directly: no sampler, no reuse of an earlier prompt or picture, no
// speculation.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/runtime.h"
#include "image/image.h"

namespace mobilevlm::bench {

// Text positions of the headline prompt: the system text, the roles and a short question.
inline constexpr int kPromptTextPositions = 46;
// Decoded tokens that are timed together.
inline constexpr int kDecodeTokens = 64;

class Workload {
 public:
  // An Error as of the engine's, or if the context is too short for the prompt and kDecodeTokens.
  static Result<Workload> Load(const LoadOptions& options);

  const engine::LoadedModel& model() const { return runtime_->model(); }
  const ModelInfo& info() const { return runtime_->info(); }
  int prompt_positions() const { return static_cast<int>(prompt_.size()); }
  int depth() const { return static_cast<int>(cache_.length()); }  // positions in the cache

  void Preprocess();  // the picture to the model's square
  void RunTower();
  void RunProjector();
  void ReadPrompt();         // on an emptied cache
  void ExtendTo(int depth);  // further text, so that the cache holds `depth` positions
  void ShrinkTo(int depth);
  Status Decode(int tokens);  // greedily, one by one; an Error if the logits are not numbers

 private:
  Workload(std::shared_ptr<engine::Runtime> runtime, KvCache cache);

  void Read(std::span<const engine::Position> positions, Mat<float> logits);

  std::shared_ptr<engine::Runtime> runtime_;
  KvCache cache_;
  Image picture_, square_;
  AlignedBuffer<float> features_buffer_, visual_buffer_, logits_buffer_;
  Mat<float> features_;  // [patches, vision hidden]
  Mat<float> visual_;    // [visual tokens, hidden]
  Mat<float> logits_;    // [1, vocab]
  std::vector<engine::Position> prompt_;
  int32_t next_id_ = 0;
};

}  // namespace mobilevlm::bench
