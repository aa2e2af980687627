#include "batch.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>

#include "answer_log.h"
#include "base/progress.h"
#include "base/units.h"
#include "batch_input.h"
#include "engine/picture.h"
#include "fingerprint.h"

namespace mobilevlm::app {
namespace {

using nlohmann::ordered_json;

// One short word for everything that shapes an answer besides the item itself.
std::string RunFingerprint(const LoadOptions& load, const PromptFlags& prompt,
                           const GenerateOptions& generate) {
  ordered_json settings{ToHex(FileFingerprint(load.text)),
                        ToHex(FileFingerprint(load.mmproj)),
                        static_cast<int>(load.kv),
                        load.context,
                        static_cast<int>(prompt.session.chat_template),
                        prompt.session.system,
                        static_cast<int>(prompt.fit),
                        generate.max_tokens,
                        generate.temperature,
                        generate.top_k,
                        generate.top_p,
                        generate.min_p,
                        generate.repetition_penalty,
                        generate.seed,
                        generate.stop};
  // Only if there is one: the answers of earlier versions, which did not know it, can still be continued.
  if (!generate.json_schema.empty()) settings.push_back(generate.json_schema);
  const std::string text = settings.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return ToHex(HashBytes(text.data(), text.size())).substr(0, 16);
}

using Pictures = std::vector<Picture>;

// The pictures of an item, decoded. Runs on a thread of its own while the model answers the item before.
Result<Pictures> LoadPictures(const BatchInput& input, const BatchItem& item, ImageFit fit) {
  Pictures pictures;
  for (const std::string& name : item.images) {
    MVLM_ASSIGN(Image image, engine::LoadPicture(Picture::FromFile((input.root / name).string())));
    pictures.push_back(Picture::FromRgb(image.width, image.height, std::move(image.rgb)));
    pictures.back().fit = fit;
  }
  return pictures;
}

// What a batch did, for the last line.
struct Tally {
  size_t items = 0, images = 0;  // answered now
  size_t before = 0;             // rows that were there already
  size_t failed = 0;             // rows with an error, now and before
  double seconds = 0;
  double images_per_second() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};

void Print(const Tally& tally, bool json) {
  if (json) {
    const ordered_json summary{
        {"answered", tally.items},         {"images", tally.images},
        {"seconds", tally.seconds},        {"images_per_second", tally.images_per_second()},
        {"answered_before", tally.before}, {"errors", tally.failed}};
    std::fputs((summary.dump() + "\n").c_str(), stdout);
    return;
  }
  fmt::print(stderr, "answered {} ({} images) in {}, {:.3g} images/s; {} before; {} with an error\n",
             tally.items, tally.images,
             tally.seconds < 60 ? fmt::format("{:.1f} s", tally.seconds) : FormatDuration(tally.seconds),
             tally.images_per_second(), tally.before, tally.failed);
}

class Batch {
 public:
  Batch(const BatchInput& input, AnswerLog log, Session session, ImageFit fit,
        const GenerateOptions& generate)
      : input_(input), log_(std::move(log)), session_(std::move(session)), fit_(fit), generate_(generate) {
    for (const BatchItem& item : input.items) {
      const Hash128 key = BatchKey(item.ToJson());
      if (!log_.Has(key)) {
        missing_.push_back(&item);
      } else {
        ++tally_.before;
        tally_.failed += log_.HasFailed(key);
      }
    }
  }

  // Until everything is answered or cancelled. An Error only if a row cannot be written.
  Status Run() {
    const auto start = std::chrono::steady_clock::now();
    Progress progress("answering", missing_.size());
    std::future<Result<Pictures>> next = LoadAhead(0);
    for (size_t i = 0; i < missing_.size() && !generate_.cancel->load(); ++i) {
      const Result<Pictures> pictures = next.get();
      next = LoadAhead(i + 1);
      // An item that stands twice in the input has been answered meanwhile.
      if (!log_.Has(BatchKey(missing_[i]->ToJson()))) MVLM_TRY(Answer(*missing_[i], pictures));
      progress.Update(i + 1, tally_.failed > 0 ? fmt::format("{} with an error", tally_.failed) : "");
    }
    tally_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {};
  }

  const Tally& tally() const { return tally_; }

 private:
  std::future<Result<Pictures>> LoadAhead(size_t index) {
    if (index >= missing_.size()) return {};
    const BatchItem& item = *missing_[index];
    // Without a free thread it is done in get().
    return std::async(std::launch::async | std::launch::deferred,
                      [this, &item] { return LoadPictures(input_, item, fit_); });
  }

  // Nothing is written if the answer was cancelled.
  Status Answer(const BatchItem& item, const Result<Pictures>& pictures) {
    ordered_json row = item.ToJson();
    session_.Reset();
    const auto answer = pictures ? session_.Ask(*pictures, item.prompt, generate_)
                                 : Result<mobilevlm::Answer>(tl::unexpected<Error>(pictures.error()));
    if (!answer) {
      ++tally_.failed;
      row["error"] = answer.error().message;
      return log_.Append(std::move(row));
    }
    if (answer->stop == StopReason::kCancelled) return {};
    ++tally_.items;
    tally_.images += item.images.size();
    row["answer"] = answer->text;
    row["stop"] = StopReasonName(answer->stop);
    row["generated"] = answer->stats.generated;
    row["image_ms"] = answer->stats.image_ms;
    row["prompt_ms"] = answer->stats.prompt_ms;
    row["generate_ms"] = answer->stats.generate_ms;
    return log_.Append(std::move(row));
  }

  const BatchInput& input_;
  AnswerLog log_;
  Session session_;
  ImageFit fit_;
  GenerateOptions generate_;
  std::vector<const BatchItem*> missing_;  // not answered yet, in the order of the input
  Tally tally_;
};

}  // namespace

Status RunBatch(const BatchFlags& batch, LoadOptions load, const PromptFlags& prompt,
                const GenerateOptions& generate) {
  MVLM_ASSIGN(const BatchInput input, ReadBatchInput(batch.input, batch.prompt));
  MVLM_TRY(UseBundledModelIfNone(load));
  MVLM_ASSIGN(const Model model, Model::Load(load));
  MVLM_ASSIGN(Session session, model.NewSession(prompt.session));
  MVLM_ASSIGN(AnswerLog log, AnswerLog::Open(batch.output, RunFingerprint(load, prompt, generate)));
  GenerateOptions options = generate;
  options.cancel = &InterruptFlag();

  Batch run(input, std::move(log), std::move(session), prompt.fit, options);
  MVLM_TRY(run.Run());
  Print(run.tally(), batch.json);
  if (run.tally().failed > 0 && !Interrupted()) {
    return Fail("{}: {} of {} have an error instead of an answer", batch.output, run.tally().failed,
                input.items.size());
  }
  return {};
}

}  // namespace mobilevlm::app
