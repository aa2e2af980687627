#include "engine/conversation.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "engine/layout.h"

namespace mobilevlm::engine {

Result<std::unique_ptr<Conversation>> Conversation::Create(std::shared_ptr<Runtime> runtime,
                                                           const SessionOptions& options) {
  MVLM_ASSIGN(DecoderState state, DecoderState::Create(*runtime));
  return std::unique_ptr<Conversation>(new Conversation(std::move(runtime), options, std::move(state)));
}

void Conversation::Reset() {
  turns_.clear();
  pictures_.clear();
}

Result<Answer> Conversation::Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                                 const GenerateOptions& options, const OnText& on_text) {
  MVLM_TRY(CheckGenerateOptions(options));
  MVLM_ASSIGN(std::shared_ptr<const Grammar> grammar, GrammarOf(options));
  MVLM_ASSIGN(const Prompt assembled, Assemble(pictures.size(), prompt));

  const Stopwatch watch;
  MVLM_ASSIGN(std::vector<PictureCache::Loaded> loaded, LoadPictures(pictures));
  Answer answer;
  std::vector<PictureCache::Pointer> all = pictures_;
  const bool encoded = Encode(loaded, options.cancel, all, answer.stats);
  answer.stats.image_ms = pictures.empty() ? 0 : watch.Milliseconds();

  const Mat<float> logits =
      logits_.ReserveMat(LogitRows(options), static_cast<size_t>(runtime_->model().llm.vocab));
  std::vector<PictureRows> rows;
  for (const PictureCache::Pointer& picture : all) rows.push_back({picture->tokens, picture->pixels});
  if (encoded && ReadPrompt(LayOut(assembled, rows), options.cancel, logits.Rows(0, 1), answer.stats)) {
    const auto on_piece = [&](std::string_view text, std::span<const Token>) {
      if (on_text && !text.empty()) on_text(text);
    };
    AnswerWriter writer(*runtime_, options, std::move(grammar), TextOf(assembled), on_piece, answer);
    MVLM_TRY(Generate(*runtime_, state_, writer, options, logits, draft_policy_, answer));
  } else {
    answer.stop = StopReason::kCancelled;
  }
  // An empty answer leaves no turn: the templates know only the last turn without one.
  if (!answer.text.empty()) {
    turns_.push_back({std::string(prompt), answer.text, static_cast<int>(pictures.size())});
    pictures_ = std::move(all);
  }
  return answer;
}

// The whole conversation with the new turn, if it fits into the context.
Result<Prompt> Conversation::Assemble(size_t new_pictures, std::string_view prompt) const {
  std::vector<Turn> turns = turns_;
  turns.push_back({std::string(prompt), "", static_cast<int>(new_pictures)});
  return AssembleFitting(runtime_->model(), options_.chat_template, options_.system, turns);
}

Result<std::vector<PictureCache::Loaded>> Conversation::LoadPictures(
    const std::vector<Picture>& pictures) const {
  std::vector<PictureCache::Loaded> loaded;
  for (const Picture& picture : pictures) {
    MVLM_ASSIGN(PictureCache::Loaded one, recent_.Load(runtime_->pipeline(), picture));
    loaded.push_back(std::move(one));
  }
  return loaded;
}

// Appends the pictures to `all`. False if cancelled before the last one.
bool Conversation::Encode(std::vector<PictureCache::Loaded>& pictures, const std::atomic<bool>* cancel,
                          std::vector<PictureCache::Pointer>& all, Stats& stats) {
  for (PictureCache::Loaded& picture : pictures) {
    if (IsSet(cancel)) return false;
    all.push_back(recent_.Encode(runtime_->pipeline(), std::move(picture), stats));
  }
  return true;
}

// Brings the state to exactly `prompt` and `logits` [1, vocab] to its last position. False if cancelled; the
// state then holds a beginning.
bool Conversation::ReadPrompt(std::span<const PromptPosition> prompt, const std::atomic<bool>* cancel,
                              Mat<float> logits, Stats& stats) {
  const Stopwatch watch;
  const size_t reused = state_.KeepSharedPrefix(prompt);
  stats.prompt_positions = static_cast<int>(prompt.size());
  stats.reused_positions = static_cast<int>(reused);
  for (size_t begin = reused; begin < prompt.size();) {
    if (IsSet(cancel)) return false;
    const size_t count = std::min(kPrefillChunk, prompt.size() - begin);
    const bool last = begin + count == prompt.size();
    state_.Read(prompt.subspan(begin, count), last ? logits : Mat<float>(nullptr, 0, logits.cols()));
    begin += count;
  }
  stats.prompt_ms = watch.Milliseconds();
  return true;
}

}  // namespace mobilevlm::engine
