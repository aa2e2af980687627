// BatchEngine: the streams of a public Batch, and what each step does for them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/stopwatch.h"
#include "engine/answer_writer.h"
#include "engine/decoder_state.h"
#include "engine/layout.h"
#include "engine/runtime.h"
#include "engine/shared_pictures.h"
#include "image/image.h"
#include "mobilevlm/batch.h"
#include "prompt/assemble.h"

namespace mobilevlm::engine {

struct PreparedRequest {
  Prompt prompt;
  std::vector<Image> pixels;  // one per picture, as the model sees it
  GenerateOptions options;
  std::shared_ptr<const Grammar> grammar;
  size_t positions = 0;
};

// Thread contract: that of Batch.
class BatchEngine {
 public:
  static Result<std::unique_ptr<BatchEngine>> Create(std::shared_ptr<Runtime> runtime,
                                                     const BatchOptions& options);

  Result<std::unique_ptr<PreparedRequest>> Prepare(const std::vector<Message>& messages,
                                                   const GenerateOptions& options) const;
  int free_streams() const;
  void Start(std::unique_ptr<PreparedRequest> request, StreamEvents events);
  bool Step();
  BatchStats Describe() const;

 private:
  // One answer on its way: pictures, then prompt, then ids.
  struct Stream {
    std::unique_ptr<PreparedRequest> request;
    StreamEvents events;
    std::vector<std::shared_ptr<SharedPicture>> pictures;
    std::vector<PromptPosition> layout;
    Answer answer;
    std::optional<AnswerWriter> writer;  // when the prompt has been read
    PromptPosition last;                 // the id to be read next, when decoding
    Stopwatch watch;                     // since the start
    double pictures_done_ms = -1;

    bool decoding() const { return writer.has_value(); }
  };
  // A cache, and who uses it; without a stream it keeps what the last one has read.
  struct Slot {
    DecoderState state;
    std::unique_ptr<Stream> stream;
    uint64_t used = 0;  // when a stream last began or ended here
  };
  // A slot's part in the pass of one step.
  struct Part {
    Slot* slot;
    std::span<const PromptPosition> positions;
    bool wants_logits;
  };

  BatchEngine(std::shared_ptr<Runtime> runtime, const BatchOptions& options)
      : runtime_(std::move(runtime)),
        options_(options),
        pictures_(runtime_->model(), options.picture_cache_bytes) {}

  Result<std::vector<Turn>> TurnsOf(const std::vector<Message>& messages, std::string& system) const;
  Slot& ChooseSlot(std::span<const PromptPosition> prompt, size_t& reused);
  void EndCancelled();
  void PlanDecodes();
  void PlanPrompts();
  bool WorkOnPictures(Stream& stream, bool& worked);
  void RunParts();
  void TakeLogits(Slot& slot, std::span<const float> logits);
  void End(Slot& slot, Result<Answer> answer);

  std::shared_ptr<Runtime> runtime_;
  const BatchOptions options_;
  SharedPictures pictures_;
  std::vector<Slot> slots_;  // [streams]
  size_t turn_ = 0;          // the slot whose prompt is served first
  uint64_t clock_ = 0;
  BatchStats totals_;
  std::vector<Part> parts_;  // scratch of a step, as the rest
  std::vector<DecoderState::Piece> pieces_;
  std::vector<Reading> readings_;
  AlignedBuffer<float> logits_;  // [rows, vocab]
};

}  // namespace mobilevlm::engine
