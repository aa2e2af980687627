#include "engine/decoder_state.h"

namespace mobilevlm::engine {

Result<DecoderState> DecoderState::Create(Runtime& runtime) {
  MVLM_ASSIGN(KvCache cache, runtime.NewCache());
  return DecoderState(runtime, std::move(cache));
}

size_t DecoderState::KeepSharedPrefix(std::span<const PromptPosition> prompt) {
  size_t shared = 0;
  while (shared + 1 < prompt.size() && shared < keys_.size() && keys_[shared] == prompt[shared].key) ++shared;
  Truncate(shared);
  return shared;
}

void DecoderState::Truncate(size_t length) {
  cache_.Truncate(length);
  keys_.resize(length);
}

void DecoderState::Read(std::span<const PromptPosition> positions, Mat<float> logits) {
  positions_.clear();
  for (const PromptPosition& p : positions) positions_.push_back(p.position);
  runtime_->pipeline().Prefill(positions_, cache_, logits);
  for (const PromptPosition& p : positions) keys_.push_back(p.key);
}

}  // namespace mobilevlm::engine
