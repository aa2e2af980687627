#include "engine/conversation.h"

#include <algorithm>
#include <utility>

#include "engine/clock.h"
#include "engine/picture.h"
#include "sample/sampler.h"
#include "sample/stop.h"
#include "text/stream_decoder.h"

namespace mobilevlm::engine {
namespace {

constexpr size_t kRecentPictures = 4;

bool IsSet(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

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

}  // namespace

Conversation::Conversation(std::shared_ptr<Runtime> runtime, const SessionOptions& options, KvCache cache)
    : runtime_(std::move(runtime)), options_(options), cache_(std::move(cache)) {}

Result<std::unique_ptr<Conversation>> Conversation::Create(std::shared_ptr<Runtime> runtime,
                                                           const SessionOptions& options) {
  MVLM_ASSIGN(KvCache cache, runtime->NewCache());
  return std::unique_ptr<Conversation>(new Conversation(std::move(runtime), options, std::move(cache)));
}

void Conversation::Reset() {
  turns_.clear();
  pictures_.clear();
}

Result<Answer> Conversation::Ask(const std::vector<Picture>& pictures, std::string_view prompt,
                                 const GenerateOptions& options, const OnText& on_text) {
  if (options.max_tokens < 1) return Fail("max tokens must be at least 1, found {}", options.max_tokens);
  MVLM_TRY(CheckSamplerOptions(SamplerOptionsOf(options)));
  MVLM_ASSIGN(const Prompt assembled, Assemble(pictures.size(), prompt));

  const Stopwatch watch;
  MVLM_ASSIGN(std::vector<Image> images, LoadPictures(pictures));
  Answer answer;
  std::vector<PicturePointer> all = pictures_;
  for (Image& image : images) all.push_back(Encode(std::move(image), answer.stats));
  answer.stats.image_ms = pictures.empty() ? 0 : watch.Milliseconds();
  const std::vector<PromptPosition> positions = Layout(assembled, all);
  std::vector<int> seen;
  for (const PromptPosition& p : positions) {
    if (p.position.embedding == nullptr) seen.push_back(p.position.id);
  }
  if (ReadPrompt(positions, options.cancel, answer.stats)) {
    MVLM_TRY(Generate(std::move(seen), options, on_text, answer));
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
Result<Prompt> Conversation::Assemble(size_t new_pictures, std::string_view prompt) {
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

Result<std::vector<Image>> Conversation::LoadPictures(const std::vector<Picture>& pictures) const {
  std::vector<Image> images;
  for (const Picture& picture : pictures) {
    MVLM_ASSIGN(const Image image, LoadPicture(picture));
    images.push_back(runtime_->pipeline().Preprocess(image, picture.fit));
  }
  return images;
}

// The visual tokens of a preprocessed picture, from the last few if its pixels are among them.
Conversation::PicturePointer Conversation::Encode(Image image, Stats& stats) {
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const PicturePointer& p) { return p->image.rgb == image.rgb; });
  if (known != recent_.end()) {
    std::rotate(recent_.begin(), known, known + 1);  // most recent first
    return recent_.front();
  }
  const LoadedModel& model = runtime_->model();
  auto picture = std::make_shared<EncodedPicture>();
  picture->image = std::move(image);
  picture->serial = next_serial_++;
  picture->tokens = picture->buffer.ReserveMat(static_cast<size_t>(model.projector.tokens()),
                                               static_cast<size_t>(model.projector.hidden));
  runtime_->pipeline().EncodePicture(picture->image, picture->tokens);
  ++stats.images;
  recent_.insert(recent_.begin(), picture);
  if (recent_.size() > kRecentPictures) recent_.pop_back();
  return picture;
}

std::vector<Conversation::PromptPosition> Conversation::Layout(
    const Prompt& prompt, std::span<const PicturePointer> pictures) const {
  std::vector<PromptPosition> positions;
  size_t next_picture = 0;
  for (const PromptSegment& segment : prompt.segments) {
    for (const int id : segment.ids) positions.push_back({{.id = id}, id});
    if (!segment.is_image) continue;
    const EncodedPicture& picture = *pictures[next_picture++];
    const int64_t rows = static_cast<int64_t>(picture.tokens.rows());
    for (int64_t row = 0; row < rows; ++row) {
      positions.push_back(
          {{.embedding = picture.tokens.row(static_cast<size_t>(row))}, -1 - (picture.serial * rows + row)});
    }
  }
  MVLM_CHECK(next_picture == pictures.size(), "{} of {} pictures placed", next_picture, pictures.size());
  return positions;
}

// Brings the cache to exactly `prompt` and logits_ to its last position. False if cancelled; the cache then
// holds a valid part.
bool Conversation::ReadPrompt(std::span<const PromptPosition> prompt, const std::atomic<bool>* cancel,
                              Stats& stats) {
  const Stopwatch watch;
  size_t reused = 0;
  // The last position is always computed: its logits are wanted.
  while (reused + 1 < prompt.size() && reused < cached_keys_.size() &&
         cached_keys_[reused] == prompt[reused].key) {
    ++reused;
  }
  cache_.Truncate(reused);
  cached_keys_.resize(reused);
  stats.prompt_positions = static_cast<int>(prompt.size());
  stats.reused_positions = static_cast<int>(reused);

  const size_t vocab = static_cast<size_t>(runtime_->model().llm.vocab);
  const Mat<float> logits = logits_.ReserveMat(1, vocab);
  std::vector<Position> chunk;
  for (size_t begin = reused; begin < prompt.size(); begin += chunk.size()) {
    if (IsSet(cancel)) return false;
    const size_t end = std::min(begin + kPrefillChunk, prompt.size());
    chunk.clear();
    for (size_t i = begin; i < end; ++i) chunk.push_back(prompt[i].position);
    runtime_->pipeline().Prefill(chunk, cache_,
                                 end == prompt.size() ? logits : Mat<float>(nullptr, 0, vocab));
    for (size_t i = begin; i < end; ++i) cached_keys_.push_back(prompt[i].key);
  }
  stats.prompt_ms = watch.Milliseconds();
  return true;
}

// From the logits of the prompt's last position to the end of the answer.
Status Conversation::Generate(std::vector<int> seen, const GenerateOptions& options, const OnText& on_text,
                              Answer& answer) {
  const LoadedModel& model = runtime_->model();
  const Mat<float> logits(logits_.data(), 1, static_cast<size_t>(model.llm.vocab));
  // Rows of a padded embedding table have no piece and must never win.
  const std::span<const float> choices(logits.data(), static_cast<size_t>(model.tokenizer.size()));
  Sampler sampler(SamplerOptionsOf(options));
  StreamDecoder decoder(model.tokenizer);
  StopMatcher stop(options.stop);
  const auto show = [&](const std::string& text) {
    answer.text += text;
    if (on_text && !text.empty()) on_text(text);
  };

  const Stopwatch watch;
  for (;;) {
    MVLM_ASSIGN(const int id, sampler.Sample(choices, seen));
    ++answer.stats.generated;
    answer.stats.generate_ms = watch.Milliseconds();
    answer.stop = StopReason::kEos;
    if (id == model.tokenizer.eos()) break;
    answer.ids.push_back(id);
    seen.push_back(id);
    show(stop.Push(decoder.Push(id)));

    answer.stop = StopReason::kStopString;
    if (stop.matched()) break;
    answer.stop = StopReason::kMaxTokens;
    if (answer.ids.size() >= static_cast<size_t>(options.max_tokens)) break;
    answer.stop = StopReason::kContextFull;
    if (cache_.length() >= cache_.capacity()) break;
    answer.stop = StopReason::kCancelled;
    if (IsSet(options.cancel)) break;
    runtime_->pipeline().Step(id, cache_, logits);
    cached_keys_.push_back(id);
  }
  show(stop.Push(decoder.Finish()));
  if (stop.matched() && answer.stop == StopReason::kEos) answer.stop = StopReason::kStopString;
  show(stop.Flush());
  answer.text = Strip(answer.text);
  return {};
}

}  // namespace mobilevlm::engine
