// Conversation: the turns so far, their pictures, and the key-value cache; what a public Session owns.
//
// Every turn renders the whole conversation anew, as the official code does, and computes only the positions
// behind the longest prefix that the cache already holds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/runtime.h"
#include "image/image.h"
#include "llm/kv_cache.h"
#include "mobilevlm/mobilevlm.h"
#include "prompt/assemble.h"
#include "tensor/mat.h"

namespace mobilevlm::engine {

// A picture the tower has seen.
struct EncodedPicture {
  Image image;  // as the model sees it, [S, S, 3]: equal pixels mean equal tokens
  int64_t serial = 0;
  AlignedBuffer<float> buffer;
  Mat<float> tokens;  // [visual tokens, hidden]
};

// Thread contract: one caller at a time; several conversations may share a runtime.
class Conversation {
 public:
  using OnText = std::function<void(std::string_view)>;

  static Result<std::unique_ptr<Conversation>> Create(std::shared_ptr<Runtime> runtime,
                                                      const SessionOptions& options);

  Result<Answer> Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                     const GenerateOptions& options, const OnText& on_text);
  void Reset();

 private:
  using PicturePointer = std::shared_ptr<const EncodedPicture>;
  struct PromptPosition {
    Position position;
    int64_t key;  // equal keys mean equal content: the id, or a negative number of picture and row
  };

  Conversation(std::shared_ptr<Runtime> runtime, const SessionOptions& options, KvCache cache);

  Result<Prompt> Assemble(size_t new_pictures, std::string_view prompt);
  Result<std::vector<Image>> LoadPictures(const std::vector<Picture>& pictures) const;
  PicturePointer Encode(Image image, Stats& stats);
  std::vector<PromptPosition> Layout(const Prompt& prompt, std::span<const PicturePointer> pictures) const;
  bool ReadPrompt(std::span<const PromptPosition> prompt, const std::atomic<bool>* cancel, Stats& stats);
  Status Generate(std::vector<int> seen, const GenerateOptions& options, const OnText& on_text,
                  Answer& answer);

  std::shared_ptr<Runtime> runtime_;
  SessionOptions options_;
  KvCache cache_;
  std::vector<int64_t> cached_keys_;  // what each position of cache_ holds
  std::vector<Turn> turns_;
  std::vector<PicturePointer> pictures_;  // of turns_, in order
  std::vector<PicturePointer> recent_;    // the last few, kept across Reset()
  int64_t next_serial_ = 0;
  AlignedBuffer<float> logits_;  // [1, vocab]
};

}  // namespace mobilevlm::engine
