#include "engine/decoder_state.h"

namespace mobilevlm::engine {

Result<DecoderState> DecoderState::Create(Runtime& runtime) {
  MVLM_ASSIGN(KvCache cache, runtime.NewCache());
  return DecoderState(runtime, std::move(cache));
}

size_t DecoderState::SharedPrefix(std::span<const PromptPosition> prompt) const {
  size_t shared = 0;
  while (shared + 1 < prompt.size() && shared < keys_.size() && keys_[shared] == prompt[shared].key) ++shared;
  return shared;
}

size_t DecoderState::KeepSharedPrefix(std::span<const PromptPosition> prompt) {
  const size_t shared = SharedPrefix(prompt);
  Truncate(shared);
  return shared;
}

void DecoderState::Truncate(size_t length) {
  cache_.Truncate(length);
  keys_.resize(length);
}

void DecoderState::CopyBeginning(const DecoderState& other, size_t length) {
  cache_.CopyBeginning(other.cache_, length);
  keys_.assign(other.keys_.begin(), other.keys_.begin() + static_cast<std::ptrdiff_t>(length));
}

void DecoderState::ReadTogether(Pipeline& pipeline, std::span<const Piece> pieces,
                                std::vector<Reading>& readings, Mat<float> logits) {
  readings.clear();
  for (const Piece& piece : pieces) {
    std::vector<Position>& positions = piece.state->positions_;
    positions.clear();
    for (const PromptPosition& p : piece.positions) positions.push_back(p.position);
    readings.push_back({positions, &piece.state->cache_, piece.wants_logits ? size_t{1} : size_t{0}});
  }
  pipeline.ReadTogether(readings, logits);
  for (const Piece& piece : pieces) {
    for (const PromptPosition& p : piece.positions) piece.state->keys_.push_back(p.key);
  }
}

void DecoderState::Read(std::span<const PromptPosition> positions, Mat<float> logits) {
  positions_.clear();
  for (const PromptPosition& p : positions) positions_.push_back(p.position);
  runtime_->pipeline().Prefill(positions_, cache_, logits);
  for (const PromptPosition& p : positions) keys_.push_back(p.key);
}

}  // namespace mobilevlm::engine
