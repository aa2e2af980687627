#include "engine/batch_engine.h"

#include <algorithm>
#include <utility>

#include "engine/memory.h"
#include "engine/picture.h"

namespace mobilevlm::engine {
namespace {

constexpr int kMostStreams = 64;
constexpr int kMostPrefillChunk = 128;
static_assert(kMostStreams + kMostPrefillChunk <= kPrefillChunk, "a step is one pass");

// Copying keys and values of a few positions costs more than it saves.
constexpr size_t kWorthCopying = 16;

Status CheckOptions(const BatchOptions& options) {
  if (options.streams < 1 || options.streams > kMostStreams) {
    return Fail("streams must be in 1..{}, found {}", kMostStreams, options.streams);
  }
  if (options.prefill_chunk < 1 || options.prefill_chunk > kMostPrefillChunk) {
    return Fail("the prefill chunk must be in 1..{}, found {}", kMostPrefillChunk, options.prefill_chunk);
  }
  if (options.vision_blocks < 1) {
    return Fail("vision blocks per step must be at least 1, found {}", options.vision_blocks);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<BatchEngine>> BatchEngine::Create(std::shared_ptr<Runtime> runtime,
                                                         const BatchOptions& options) {
  MVLM_TRY(CheckOptions(options));
  const uint64_t streams = static_cast<uint64_t>(options.streams);
  MemoryNeed need;
  need.kv_cache = streams * runtime->info().memory.kv_cache;
  need.activations = options.picture_cache_bytes +
                     2 * streams * static_cast<uint64_t>(runtime->model().llm.vocab) * sizeof(float);
  if (const Status fits = CheckMemory(need, options.memory_limit); !fits) {
    return Context(fits.error(), "{} streams", options.streams);
  }
  std::unique_ptr<BatchEngine> engine(new BatchEngine(std::move(runtime), options));
  for (int i = 0; i < options.streams; ++i) {
    MVLM_ASSIGN(DecoderState state, DecoderState::Create(*engine->runtime_));
    engine->slots_.push_back({std::move(state), nullptr, 0});
  }
  return engine;
}

// Messages as the template knows them: pairs of what the user and the assistant said.
Result<std::vector<Turn>> BatchEngine::TurnsOf(const std::vector<Message>& messages,
                                               std::string& system) const {
  std::vector<Turn> turns;
  Role last = Role::kSystem;
  for (size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    if (message.role != Role::kUser && !message.pictures.empty()) {
      return Fail("message {}: only a user shows pictures", i + 1);
    }
    if (message.role == Role::kSystem) {
      if (!turns.empty()) return Fail("message {}: system messages come first", i + 1);
      system += (system.empty() ? "" : "\n") + message.text;
    } else if (message.role == Role::kUser) {
      if (last == Role::kUser) return Fail("message {}: two user messages in a row", i + 1);
      turns.push_back({message.text, "", static_cast<int>(message.pictures.size())});
    } else {
      if (last != Role::kUser) return Fail("message {}: an assistant message answers a user's", i + 1);
      if (message.text.empty()) return Fail("message {}: the assistant's message is empty", i + 1);
      turns.back().assistant = message.text;
    }
    last = message.role;
  }
  if (last != Role::kUser) return Fail("the last message must be the user's");
  return turns;
}

Result<std::unique_ptr<PreparedRequest>> BatchEngine::Prepare(const std::vector<Message>& messages,
                                                              const GenerateOptions& options) const {
  MVLM_TRY(CheckGenerateOptions(options));
  auto request = std::make_unique<PreparedRequest>();
  request->options = options;
  MVLM_ASSIGN(request->grammar, GrammarOf(options));
  std::string system;
  MVLM_ASSIGN(const std::vector<Turn> turns, TurnsOf(messages, system));
  const LoadedModel& model = runtime_->model();
  MVLM_ASSIGN(request->prompt, AssembleFitting(model, options_.chat_template, system, turns));
  request->positions = CountPositions(model, request->prompt);
  for (const Message& message : messages) {
    for (const Picture& picture : message.pictures) {
      MVLM_ASSIGN(const Image image, LoadPicture(picture));
      request->pixels.push_back(runtime_->pipeline().Preprocess(image, picture.fit));
    }
  }
  return request;
}

int BatchEngine::free_streams() const {
  return static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.stream == nullptr; }));
}

// The free slot that has read most of `prompt` already, or the one unused for longest with a copy of what a
// busy slot has read; its state then is the shared beginning of `reused` positions.
BatchEngine::Slot& BatchEngine::ChooseSlot(std::span<const PromptPosition> prompt, size_t& reused) {
  Slot* best = nullptr;
  Slot* oldest = nullptr;
  const Slot* other = nullptr;
  size_t own = 0, others = 0;
  for (Slot& slot : slots_) {
    const size_t shared = slot.state.SharedPrefix(prompt);
    if (slot.stream != nullptr) {
      if (shared > others) other = &slot;
      others = std::max(others, shared);
      continue;
    }
    if (best == nullptr || shared > own || (shared == own && slot.used < best->used)) best = &slot;
    own = std::max(own, shared);
    if (oldest == nullptr || slot.used < oldest->used) oldest = &slot;
  }
  MVLM_CHECK(best != nullptr, "no free stream");
  if (others > own + kWorthCopying) {
    oldest->state.CopyBeginning(other->state, others);
    reused = others;
    return *oldest;
  }
  best->state.Truncate(own);
  reused = own;
  return *best;
}

void BatchEngine::Start(std::unique_ptr<PreparedRequest> request, StreamEvents events) {
  auto stream = std::make_unique<Stream>();
  std::vector<PictureRows> rows;
  for (Image& pixels : request->pixels) {
    std::shared_ptr<SharedPicture> picture = pictures_.Find(std::move(pixels));
    totals_.pictures_reused += picture->reused;
    rows.push_back(picture->rows());
    stream->pictures.push_back(std::move(picture));
  }
  request->pixels.clear();
  stream->layout = LayOut(request->prompt, rows);
  stream->request = std::move(request);
  stream->events = std::move(events);

  size_t reused = 0;
  Slot& slot = ChooseSlot(stream->layout, reused);
  stream->answer.stats.prompt_positions = static_cast<int>(stream->layout.size());
  stream->answer.stats.reused_positions = static_cast<int>(reused);
  totals_.positions_reused += reused;
  slot.used = ++clock_;
  slot.stream = std::move(stream);
}

bool BatchEngine::Step() {
  if (free_streams() == static_cast<int>(slots_.size())) return false;
  EndCancelled();
  parts_.clear();
  PlanDecodes();
  PlanPrompts();
  RunParts();
  return true;
}

void BatchEngine::EndCancelled() {
  for (Slot& slot : slots_) {
    if (slot.stream == nullptr || !IsSet(slot.stream->request->options.cancel)) continue;
    if (slot.stream->writer) slot.stream->writer->Finish();
    slot.stream->answer.stop = StopReason::kCancelled;
    End(slot, std::move(slot.stream->answer));
  }
}

void BatchEngine::PlanDecodes() {
  for (Slot& slot : slots_) {
    if (slot.stream != nullptr && slot.stream->decoding()) {
      parts_.push_back({&slot, {&slot.stream->last, 1}, true});
    }
  }
}

// Positions of prompts in turn, as many as a step may hold, and work on one picture. If nobody waits for his
// next id, pieces are large.
void BatchEngine::PlanPrompts() {
  const bool alone = parts_.empty();
  size_t room = alone ? kPrefillChunk : static_cast<size_t>(options_.prefill_chunk);
  bool worked = false;
  std::optional<size_t> next_turn;
  for (size_t i = 0; i < slots_.size() && room > 0; ++i) {
    const size_t index = (turn_ + i) % slots_.size();
    Slot& slot = slots_[index];
    if (slot.stream == nullptr || slot.stream->decoding()) continue;
    if (!next_turn) next_turn = (index + 1) % slots_.size();
    if (!WorkOnPictures(*slot.stream, worked)) continue;
    const std::span<const PromptPosition> left =
        std::span<const PromptPosition>(slot.stream->layout).subspan(slot.state.length());
    const size_t count = std::min(room, left.size());
    parts_.push_back({&slot, left.first(count), count == left.size()});
    room -= count;
  }
  turn_ = next_turn.value_or(turn_);
}

// True if all pictures of the stream have their visual tokens. Works on one, unless this step has `worked`.
bool BatchEngine::WorkOnPictures(Stream& stream, bool& worked) {
  for (const std::shared_ptr<SharedPicture>& picture : stream.pictures) {
    if (picture->done) continue;
    if (worked) return false;
    worked = true;
    const bool alone = parts_.empty();
    const size_t blocks =
        alone ? runtime_->model().vision_weights.blocks.size() : static_cast<size_t>(options_.vision_blocks);
    if (!picture->Advance(runtime_->pipeline(), blocks)) return false;
    ++stream.answer.stats.images;
    ++totals_.pictures_encoded;
  }
  if (stream.pictures_done_ms < 0) {
    stream.pictures_done_ms = stream.watch.Milliseconds();
    stream.answer.stats.image_ms = stream.pictures.empty() ? 0 : stream.pictures_done_ms;
  }
  return true;
}

void BatchEngine::RunParts() {
  if (parts_.empty()) return;
  pieces_.clear();
  size_t rows = 0;
  for (const Part& part : parts_) {
    pieces_.push_back({&part.slot->state, part.positions, part.wants_logits});
    rows += part.wants_logits;
  }
  const Mat<float> logits = logits_.ReserveMat(rows, static_cast<size_t>(runtime_->model().llm.vocab));
  DecoderState::ReadTogether(runtime_->pipeline(), pieces_, readings_, logits);
  size_t row = 0;
  for (const Part& part : parts_) {
    if (!part.slot->stream->decoding()) totals_.positions_read += part.positions.size();
    if (part.wants_logits) TakeLogits(*part.slot, {logits.row(row++), logits.cols()});
  }
}

void BatchEngine::TakeLogits(Slot& slot, std::span<const float> logits) {
  Stream& stream = *slot.stream;
  if (!stream.writer) {
    stream.answer.stats.prompt_ms = stream.watch.Milliseconds() - stream.pictures_done_ms;
    stream.writer.emplace(*runtime_, stream.request->options, stream.request->grammar,
                          TextOf(stream.request->prompt), stream.events.on_text, stream.answer);
  }
  const Result<bool> more = stream.writer->Take(logits);
  if (!more) return End(slot, tl::unexpected<Error>(more.error()));
  ++totals_.tokens_generated;
  const bool full = slot.state.length() == slot.state.capacity();
  if (*more && !full) {
    stream.last = PromptPosition::Text(stream.writer->text().back());
    return;
  }
  if (*more) stream.answer.stop = StopReason::kContextFull;
  stream.writer->Finish();
  End(slot, std::move(stream.answer));
}

void BatchEngine::End(Slot& slot, Result<Answer> answer) {
  const std::unique_ptr<Stream> stream = std::move(slot.stream);
  slot.used = ++clock_;
  if (stream->events.on_end) stream->events.on_end(answer);
}

BatchStats BatchEngine::Describe() const {
  BatchStats stats = totals_;
  for (const Slot& slot : slots_) {
    stats.streams += slot.stream != nullptr;
    stats.decoding += slot.stream != nullptr && slot.stream->decoding();
    stats.kv_cache_bytes += runtime_->info().memory.kv_cache / slot.state.capacity() * slot.state.length();
  }
  stats.picture_cache_bytes = pictures_.bytes();
  return stats;
}

}  // namespace mobilevlm::engine
