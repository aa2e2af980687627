// Several conversations at once, for servers: a Batch decodes all its streams together, so that one reading
// of the weights serves them all, and reads prompts and pictures piece by piece in between.
//
//   Result<Batch> batch = Batch::Create(model, {.streams = 8});
//   Result<BatchRequest> request = batch->Prepare({{.role = Role::kUser, .text = "What is this?",
//                                                   .pictures = {Picture::FromBytes(jpeg)}}}, {});
//   batch->Start(std::move(*request), {.on_text = ..., .on_end = ...});
//   while (batch->Step()) {
//   }
//
// Answers. A stream's ids are, bit for bit, those of a Session asked the same alone: what else is decoded,
// and how prompts are cut, changes nothing.
//
// Threads. Prepare() may be called from any threads at any time; it does all that can fail and much of what
// takes long without the weights (decoding pictures, tokenising). Everything else is called by one thread at
// a time, the one that owns the batch. Setting GenerateOptions::cancel, from any thread, ends a stream at the
// next step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mobilevlm/mobilevlm.h"

namespace mobilevlm {

enum class Role { kSystem, kUser, kAssistant };

struct Message {
  Role role = Role::kUser;
  std::string text = {};
  std::vector<Picture> pictures = {};  // kUser only; placed as Session::Ask does
};

struct BatchOptions {
  PromptTemplate chat_template = PromptTemplate::kV1;
  int streams = 8;         // answered at the same time, 1..64; each has a cache of MemoryNeed::kv_cache bytes
  int prefill_chunk = 64;  // 1..128 positions of prompts that are read in a step that also decodes
  int vision_blocks = 4;   // blocks of the vision tower that run in a step that also decodes
  // Visual tokens of pictures that may be asked about again, in bytes; 0: none are kept.
  uint64_t picture_cache_bytes = uint64_t{64} << 20;
  uint64_t memory_limit = 0;  // bytes for all caches of the batch; 0: what the system has available now
};

namespace engine {
class BatchEngine;
struct PreparedRequest;
}  // namespace engine

// A conversation that has been checked and waits for its answer: ids, and pixels as the model sees them.
class BatchRequest {
 public:
  BatchRequest(BatchRequest&&) noexcept;
  BatchRequest& operator=(BatchRequest&&) noexcept;
  ~BatchRequest();

  int positions() const;  // of the prompt: text ids and visual tokens
  int pictures() const;

 private:
  friend class Batch;
  explicit BatchRequest(std::unique_ptr<engine::PreparedRequest> prepared);
  std::unique_ptr<engine::PreparedRequest> prepared_;
};

// Called by Step(), on its thread. They must not call the batch.
struct StreamEvents {
  // The answer as it grows: printable text, possibly empty, never half a UTF-8 character, and, if logprobs
  // were asked for, the tokens since the last call.
  std::function<void(std::string_view text, std::span<const Token> tokens)> on_text = {};
  // The last event of a stream.
  std::function<void(const Result<Answer>& answer)> on_end = {};
};

struct BatchStats {
  int streams = 0;                   // started and not ended
  int decoding = 0;                  // of these, past their prompt
  uint64_t kv_cache_bytes = 0;       // of the streams' caches that hold positions
  uint64_t picture_cache_bytes = 0;  // visual tokens kept
  uint64_t pictures_encoded = 0;     // that went through the tower, since the beginning
  uint64_t pictures_reused = 0;      // that did not have to
  uint64_t positions_read = 0;       // of prompts
  uint64_t positions_reused = 0;
  uint64_t tokens_generated = 0;
};

class Batch {
 public:
  // Takes the memory for all streams; an Error if there is not enough.
  static Result<Batch> Create(const Model& model, const BatchOptions& options);

  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;
  ~Batch();

  // `messages`: system messages first, if any, then user and assistant in turn, the last one the user's. An
  // Error names what is wrong with the messages, a picture, an option, or how long the prompt is.
  // GenerateOptions::speculate has no effect.
  Result<BatchRequest> Prepare(const std::vector<Message>& messages, const GenerateOptions& options) const;

  int free_streams() const;

  // Begins an answer; there is a free stream. The beginning of the prompt that a stream holds already, of a
  // request before or beside this one, is not computed again, nor is a picture in the cache.
  void Start(BatchRequest request, StreamEvents events);

  // One step: the next token of every decoding stream and, for one of the others in turn, a piece of its
  // picture or of its prompt. False, and nothing done, if there are no streams.
  bool Step();

  BatchStats Describe() const;

 private:
  explicit Batch(std::unique_ptr<engine::BatchEngine> engine);
  std::unique_ptr<engine::BatchEngine> engine_;
};

}  // namespace mobilevlm
