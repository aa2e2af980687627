// AnswerWriter: the ids of one answer, from logits to shown text: sampled, constrained to a JSON Schema if
// wanted, decoded, watched for stop strings, and ended.
//
// Thread contract: belongs to one answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/stopwatch.h"
#include "engine/runtime.h"
#include "mobilevlm/mobilevlm.h"
#include "sample/grammar.h"
#include "sample/sampler.h"
#include "sample/stop.h"
#include "sample/token_constraint.h"
#include "text/stream_decoder.h"

namespace mobilevlm::engine {

// Printable text, possibly empty, and the tokens since the last call (if GenerateOptions::logprobs).
using OnPiece = std::function<void(std::string_view text, std::span<const Token> tokens)>;

// An Error names the option that is out of range.
Status CheckGenerateOptions(const GenerateOptions& options);

// What GenerateOptions::json_schema says; nullptr: nothing.
Result<std::shared_ptr<const Grammar>> GrammarOf(const GenerateOptions& options);

inline bool IsSet(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

class AnswerWriter {
 public:
  // `text` are the prompt's ids in order, with a negative number in place of each picture: the repetition
  // penalty applies to them. `options` passed the check. Everything but the grammar outlives the writer.
  AnswerWriter(Runtime& runtime, const GenerateOptions& options, std::shared_ptr<const Grammar> grammar,
               std::vector<int> text, OnPiece on_piece, Answer& answer);

  // Chooses the next id from logits [vocab]. False if it ends the answer; answer.stop says why.
  Result<bool> Take(std::span<const float> logits);

  // The prompt's ids and those taken, the end of the sequence included.
  const std::vector<int>& text() const { return text_; }

  // Ids until max_tokens.
  size_t missing() const { return static_cast<size_t>(options_.max_tokens) - answer_.ids.size(); }

  // Shows what was held back. Nothing may be taken afterwards.
  void Finish();

 private:
  Result<int> Choose(std::span<const float> logits);
  bool Push(int id);
  void Record(std::span<const float> logits, int id);
  void Show(const std::string& text);

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  Sampler sampler_;
  std::optional<TokenConstraint> constraint_;
  std::vector<float> masked_;  // scratch, [vocab]
  std::vector<int> text_;
  StreamDecoder decoder_;
  StopMatcher stop_;
  std::string space_;  // white space that is shown only if more follows
  const OnPiece on_piece_;
  size_t reported_ = 0;  // of answer_.tokens
  Answer& answer_;
  Stopwatch watch_;
};

}  // namespace mobilevlm::engine
