#include "engine/generation.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "engine/prompt_lookup.h"

namespace mobilevlm::engine {
namespace {

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

size_t LogitRows(const GenerateOptions& options) {
  if (options.temperature != 0) return 1;
  if (options.speculate == GenerateOptions::kSpeculateAuto) return 1 + kMostDraftedAuto;
  return 1 + static_cast<size_t>(options.speculate);
}

Status Generate(Runtime& runtime, DecoderState& state, AnswerWriter& writer, const GenerateOptions& options,
                Mat<float> logits, DraftPolicy& policy, Answer& answer) {
  const Tokenizer& tokenizer = runtime.model().tokenizer;
  Speculation speculation(options, tokenizer.eos(), policy);
  std::vector<PromptPosition> batch;
  for (size_t known = state.length();;) {
    // Row r of the logits stands behind the r-th id of a confirmed draft; row 0 is always valid.
    bool more = true, confirmed = true;
    for (size_t row = 0; more && confirmed; ++row) {
      MVLM_ASSIGN(more, writer.Take({logits.row(row), logits.cols()}));
      confirmed = speculation.Confirms(writer.text().back());
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
    batch.assign(1, PromptPosition::Text(writer.text().back()));
    for (const int id : speculation.Next(writer.text(), room)) batch.push_back(PromptPosition::Text(id));
    answer.stats.drafted += static_cast<int>(batch.size() - 1);
    const Stopwatch step;
    state.Read(batch, logits.Rows(0, batch.size()));
    speculation.LearnCost(step.Milliseconds());
  }
  writer.Finish();
  return {};
}

}  // namespace mobilevlm::engine
