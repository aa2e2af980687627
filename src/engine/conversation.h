// Conversation: the turns so far, their pictures, and the state of the language model; what a public Session
// owns.
//
// Every turn renders the whole conversation anew, as the official code does, and computes only the positions
// behind the longest beginning that the state already holds: a follow-up question costs its own few
// positions, and so does another question about the same picture after Reset(), because system text and
// picture come first.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/decoder_state.h"
#include "engine/draft_policy.h"
#include "engine/generation.h"
#include "engine/picture_cache.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"
#include "prompt/assemble.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

using OnText = std::function<void(std::string_view)>;

// Thread contract: one caller at a time; several conversations may share a runtime.
class Conversation {
 public:
  static Result<std::unique_ptr<Conversation>> Create(std::shared_ptr<Runtime> runtime,
                                                      const SessionOptions& options);

  Result<Answer> Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                     const GenerateOptions& options, const OnText& on_text);
  // likelihood.cc
  Result<std::vector<AnswerLikelihood>> Likelihoods(const std::vector<Picture>& pictures,
                                                    std::string_view prompt,
                                                    const std::vector<std::string>& answers,
                                                    bool first_id_only, const std::atomic<bool>* cancel,
                                                    Stats* stats);
  void Reset();

 private:
  Conversation(std::shared_ptr<Runtime> runtime, const SessionOptions& options, DecoderState state)
      : runtime_(std::move(runtime)), options_(options), state_(std::move(state)) {}

  Result<Prompt> Assemble(size_t new_pictures, std::string_view prompt) const;
  Result<std::vector<PictureCache::Loaded>> LoadPictures(const std::vector<Picture>& pictures) const;
  bool Encode(std::vector<PictureCache::Loaded>& pictures, const std::atomic<bool>* cancel,
              std::vector<PictureCache::Pointer>& all, Stats& stats);
  bool ReadPrompt(std::span<const PromptPosition> prompt, const std::atomic<bool>* cancel, Mat<float> logits,
                  Stats& stats);

  std::shared_ptr<Runtime> runtime_;
  SessionOptions options_;
  DecoderState state_;
  DraftPolicy draft_policy_;
  PictureCache recent_;  // kept across Reset()
  std::vector<Turn> turns_;
  std::vector<PictureCache::Pointer> pictures_;  // of turns_, in order
  AlignedBuffer<float> logits_;                  // [LogitRows, vocab]
};

}  // namespace mobilevlm::engine
