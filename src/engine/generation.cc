#include "engine/generation.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/stopwatch.h"
#include "engine/prompt_lookup.h"
#include "sample/sampler.h"
#include "sample/stop.h"
#include "text/stream_decoder.h"

namespace mobilevlm::engine {
namespace {

std::string Strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

SamplerOptions SamplerOptionsOf(const GenerateOptions& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .seed = options.seed};
}

// Ids become text, shown as it comes, until something ends the answer.
class AnswerWriter {
 public:
  AnswerWriter(const Tokenizer& tokenizer, const GenerateOptions& options, const OnText& on_text,
               Answer& answer)
      : eos_(tokenizer.eos()),
        max_ids_(static_cast<size_t>(options.max_tokens)),
        decoder_(tokenizer),
        stop_(options.stop),
        on_text_(on_text),
        answer_(answer) {}

  // False if this id ends the answer; answer.stop says why.
  bool Push(int id) {
    ++answer_.stats.generated;
    answer_.stats.generate_ms = watch_.Milliseconds();
    answer_.stop = StopReason::kEos;
    if (id == eos_) return false;
    answer_.ids.push_back(id);
    Show(stop_.Push(decoder_.Push(id)));
    answer_.stop = StopReason::kStopString;
    if (stop_.matched()) return false;
    answer_.stop = StopReason::kMaxTokens;
    return missing() > 0;
  }

  // Ids until max_tokens.
  size_t missing() const { return max_ids_ - answer_.ids.size(); }

  void Finish() {
    Show(stop_.Push(decoder_.Finish()));
    if (stop_.matched() && answer_.stop == StopReason::kEos) answer_.stop = StopReason::kStopString;
    Show(stop_.Flush());
    answer_.text = Strip(answer_.text);
  }

 private:
  void Show(const std::string& text) {
    answer_.text += text;
    if (on_text_ && !text.empty()) on_text_(text);
  }

  const int eos_;
  const size_t max_ids_;
  StreamDecoder decoder_;
  StopMatcher stop_;
  const OnText& on_text_;
  Answer& answer_;
  Stopwatch watch_;
};

// Chooses drafts and learns from them. Without speculation every draft is empty.
class Speculation {
 public:
  Speculation(const GenerateOptions& options, int eos, DraftPolicy& policy)
      : eos_(eos), most_(LogitRows(options) - 1), fixed_(options.speculate > 0), policy_(policy) {}

  // The ids to read behind the last one of `text`, at most `room`.
  std::span<const int> Next(std::span<const int> text, size_t room) {
    draft_ = LookUpDraft(text, std::min(most_, room));
    // Nothing is said behind the end of the sequence, and the end itself shows in the row before it.
    draft_.ids.resize(
        static_cast<size_t>(std::find(draft_.ids.begin(), draft_.ids.end(), eos_) - draft_.ids.begin()));
    verified_ = fixed_ ? draft_.ids.size() : policy_.Choose(draft_.match, draft_.ids.size());
    examined_ = right_ = 0;
    return std::span(draft_.ids).first(verified_);
  }

  // The model's next id. True if the draft had it, and the row of logits behind it is therefore valid.
  bool Confirms(int id) {
    if (examined_ == draft_.ids.size()) return false;
    const bool right = draft_.ids[examined_++] == id;
    right_ += right;
    return right && examined_ <= verified_;
  }

  void Learn() { policy_.RecordOutcome(draft_.match, examined_, right_); }
  void LearnCost(double milliseconds) { policy_.RecordCost(1 + verified_, milliseconds); }
  size_t accepted() const { return std::min(right_, verified_); }

 private:
  const int eos_;
  const size_t most_;
  const bool fixed_;
  DraftPolicy& policy_;
  Draft draft_;
  size_t verified_ = 0;  // of draft_.ids, the first ones: part of the step's batch
  size_t examined_ = 0;  // compared with the model's ids; one more than verified_ is seen for nothing
  size_t right_ = 0;
};

}  // namespace

Status CheckGenerateOptions(const GenerateOptions& options) {
  if (options.max_tokens < 1) return Fail("max tokens must be at least 1, found {}", options.max_tokens);
  if (options.speculate < GenerateOptions::kSpeculateAuto ||
      options.speculate > static_cast<int>(kMostDrafted)) {
    return Fail("speculate must be auto (-1), off (0) or 1..{}, found {}", kMostDrafted, options.speculate);
  }
  return CheckSamplerOptions(SamplerOptionsOf(options));
}

size_t LogitRows(const GenerateOptions& options) {
  if (options.temperature != 0) return 1;
  if (options.speculate == GenerateOptions::kSpeculateAuto) return 1 + kMostDraftedAuto;
  return 1 + static_cast<size_t>(options.speculate);
}

Status Generate(Runtime& runtime, DecoderState& state, std::vector<int> text, const GenerateOptions& options,
                Mat<float> logits, DraftPolicy& policy, const OnText& on_text, Answer& answer) {
  const Tokenizer& tokenizer = runtime.model().tokenizer;
  Sampler sampler(SamplerOptionsOf(options));
  AnswerWriter writer(tokenizer, options, on_text, answer);
  Speculation speculation(options, tokenizer.eos(), policy);
  std::vector<PromptPosition> batch;
  for (size_t known = state.length();;) {
    // Row r of the logits stands behind the r-th id of a confirmed draft; row 0 is always valid.
    bool more = true, confirmed = true;
    for (size_t row = 0; more && confirmed; ++row) {
      // Rows of a padded embedding table have no piece and must never win.
      const std::span<const float> choices(logits.row(row), static_cast<size_t>(tokenizer.size()));
      MVLM_ASSIGN(const int id, sampler.Sample(choices, text));
      text.push_back(id);
      confirmed = speculation.Confirms(id);
      more = writer.Push(id);
    }
    speculation.Learn();
    answer.stats.accepted += static_cast<int>(speculation.accepted());
    if (!more) break;
    state.Truncate(known + speculation.accepted());

    answer.stop = StopReason::kContextFull;
    if (state.length() == state.capacity()) break;
    answer.stop = StopReason::kCancelled;
    if (IsSet(options.cancel)) break;

    known = state.length() + 1;
    const size_t room = std::min(state.capacity() - known, writer.missing() - 1);
    batch.assign(1, PromptPosition::Text(text.back()));
    for (const int id : speculation.Next(text, room)) batch.push_back(PromptPosition::Text(id));
    answer.stats.drafted += static_cast<int>(batch.size() - 1);
    const Stopwatch step;
    state.Read(batch, logits.Rows(0, batch.size()));
    speculation.LearnCost(step.Milliseconds());
  }
  writer.Finish();
  return {};
}

}  // namespace mobilevlm::engine
