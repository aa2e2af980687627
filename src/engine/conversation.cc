#include "engine/conversation.h"

#include <algorithm>
#include <utility>

#include "base/stopwatch.h"

namespace mobilevlm::engine {
namespace {

// Text ids and visual tokens in the order the language model reads them.
std::vector<PromptPosition> Layout(const Prompt& prompt, std::span<const PictureCache::Pointer> pictures) {
  std::vector<PromptPosition> positions;
  size_t next_picture = 0;
  for (const PromptSegment& segment : prompt.segments) {
    for (const int id : segment.ids) positions.push_back(PromptPosition::Text(id));
    if (!segment.is_image) continue;
    const EncodedPicture& picture = *pictures[next_picture++];
    for (size_t row = 0; row < picture.tokens.rows(); ++row) {
      positions.push_back({{.embedding = picture.tokens.row(row)},
                           {.id = -1 - static_cast<int32_t>(row), .picture = picture.pixels}});
    }
  }
  MVLM_CHECK(next_picture == pictures.size(), "{} of {} pictures placed", next_picture, pictures.size());
  return positions;
}

// The ids of a prompt, -1 for a picture.
std::vector<int> TextOf(const Prompt& prompt) {
  std::vector<int> text;
  for (const PromptSegment& segment : prompt.segments) {
    text.insert(text.end(), segment.ids.begin(), segment.ids.end());
    if (segment.is_image) text.push_back(-1);
  }
  return text;
}

}  // namespace

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
  MVLM_ASSIGN(const Prompt assembled, Assemble(pictures.size(), prompt));

  const Stopwatch watch;
  MVLM_ASSIGN(std::vector<PictureCache::Loaded> loaded, LoadPictures(pictures));
  Answer answer;
  std::vector<PictureCache::Pointer> all = pictures_;
  for (PictureCache::Loaded& picture : loaded) {
    all.push_back(recent_.Encode(runtime_->pipeline(), std::move(picture), answer.stats));
  }
  answer.stats.image_ms = pictures.empty() ? 0 : watch.Milliseconds();

  const Mat<float> logits =
      logits_.ReserveMat(LogitRows(options), static_cast<size_t>(runtime_->model().llm.vocab));
  if (ReadPrompt(Layout(assembled, all), options.cancel, logits.Rows(0, 1), answer.stats)) {
    MVLM_TRY(Generate(*runtime_, state_, TextOf(assembled), options, logits, draft_policy_, on_text, answer));
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
  const LoadedModel& model = runtime_->model();
  const ChatTemplate chat_template =
      options_.chat_template == PromptTemplate::kV1 ? ChatTemplate::kV1 : ChatTemplate::kPlain;
  std::vector<Turn> turns = turns_;
  turns.push_back({std::string(prompt), "", static_cast<int>(new_pictures)});
  MVLM_ASSIGN(Prompt assembled, AssemblePrompt(model.tokenizer, chat_template, options_.system, turns));

  const size_t images = static_cast<size_t>(assembled.images());
  const size_t visual = static_cast<size_t>(model.projector.tokens());
  const size_t text = static_cast<size_t>(assembled.text_tokens());
  if (text + images * visual > model.context) {
    return Fail("the prompt takes {} positions ({} of text, {} picture(s) of {}), but the context holds {}",
                text + images * visual, text, images, visual, model.context);
  }
  return assembled;
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
