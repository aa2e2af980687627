// DecoderState: what the language model has read so far: the key-value cache, and beside it what each of its
// positions holds, so that a later prompt with the same beginning is not read again.
//
// Thread contract: one caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "engine/pipeline.h"
#include "engine/runtime.h"
#include "llm/kv_cache.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

// Equal keys mean equal content: a text id, or one row of a picture's visual tokens.
struct PositionKey {
  int32_t id = 0;        // the text id, or -1 - row
  Hash128 picture = {};  // zero for text
  friend bool operator==(const PositionKey&, const PositionKey&) = default;
};

struct PromptPosition {
  Position position;
  PositionKey key;

  static PromptPosition Text(int32_t id) { return {{.id = id}, {.id = id}}; }
  bool is_text() const { return position.embedding == nullptr; }
};

class DecoderState {
 public:
  // An Error if the memory for the cache cannot be had. `runtime` must outlive the state.
  static Result<DecoderState> Create(Runtime& runtime);

  size_t length() const { return cache_.length(); }
  size_t capacity() const { return cache_.capacity(); }

  // How long a beginning `prompt` shares with what has been read, less its last position.
  size_t SharedPrefix(std::span<const PromptPosition> prompt) const;

  // Forgets everything behind the longest beginning that `prompt` shares with what has been read; at least
  // the last position of `prompt`, whose logits will be wanted. Returns the length that stays.
  size_t KeepSharedPrefix(std::span<const PromptPosition> prompt);

  // Forgets everything from position `length` on.
  void Truncate(size_t length);

  // Becomes the first `length` positions of `other`, a state of the same runtime.
  void CopyBeginning(const DecoderState& other, size_t length);

  // What one state reads in a pass shared with others.
  struct Piece {
    DecoderState* state;
    std::span<const PromptPosition> positions;
    bool wants_logits;  // of the last position
  };
  // As Pipeline::ReadTogether. `readings` is scratch.
  static void ReadTogether(Pipeline& pipeline, std::span<const Piece> pieces, std::vector<Reading>& readings,
                           Mat<float> logits);

  // Reads up to kPrefillChunk positions, for which there is room. logits: as for Pipeline::Prefill.
  void Read(std::span<const PromptPosition> positions, Mat<float> logits);

 private:
  DecoderState(Runtime& runtime, KvCache cache) : runtime_(&runtime), cache_(std::move(cache)) {
    keys_.reserve(cache_.capacity());
  }

  Runtime* runtime_;
  KvCache cache_;
  std::vector<PositionKey> keys_;    // [cache_.length()]
  std::vector<Position> positions_;  // scratch
};

}  // namespace mobilevlm::engine
