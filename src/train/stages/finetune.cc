#include "train/stages/finetune.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/read_file.h"
#include "image/png_write.h"
#include "train/adapter.h"
#include "train/checkpoint.h"
#include "train/data/annotated_batches.h"
#include "train/export_hf.h"
#include "train/prefetch.h"
#include "train/stages/predict.h"
#include "train/start_model.h"

namespace mobilevlm::train {
namespace {

// From here on one micro-batch at a time uses all threads inside its products; smaller models are faster with
// a micro-batch per thread, and have the memory for it.
constexpr int64_t kLargeModel = 100'000'000;

constexpr const char* kProjectorFile = "mm_projector.safetensors";
constexpr uint64_t kLargestList = 1 << 28;

int64_t Parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

SavedWeights HowToSave(const Recipe& recipe, const StartModel& start) {
  if (recipe.lora.rank > 0) {
    return {.file = kAdapterFile,
            .prefix = kAdapterPrefix,
            .trained_only = true,
            .describe = [&recipe](const std::string& path) { return WriteAdapterConfig(path, recipe); }};
  }
  if (!IsTrained(recipe, "model.norm.weight")) return {.file = kProjectorFile, .trained_only = true};
  const DType type = recipe.model.weights == "bfloat16" ? DType::kBF16 : DType::kF32;
  return {.describe = [&start, type](const std::string& path) {
    return WriteHfConfig(path, start.config, start.tokenizer_model, type);
  }};
}

// Sums over this process's held-back micro-batches.
struct Validation {
  double loss = 0, right = 0, tokens = 0;
};

class FinetuneRun {
 public:
  FinetuneRun(const Recipe& recipe, const std::string& run_directory, StartModel start, Tokenizer tokenizer,
              const ParallelOptions& parallel)
      : recipe_(recipe),
        run_directory_(run_directory),
        start_(std::move(start)),
        tokenizer_(std::move(tokenizer)),
        threads_(parallel.threads > 0 ? parallel.threads : parallel.processes->threads_per_process()),
        tells_share_of_peak_(parallel.tells_share_of_peak),
        large_(Parameters(*start_.model) > kLargeModel || recipe.model.gradient_checkpointing),
        parallel_(Threads(parallel)),
        optimizer_(MakeGroups(*start_.model, recipe.optimizer), AdamOptions::Of(recipe.optimizer),
                   parallel_.processes(), parallel_.sharing()) {
    if (large_) at::set_num_threads(threads_);
  }

  Result<LoopEnd> Run(StopSignal& stop) {
    stop_ = &stop;
    const int longest = start_.model->positions();
    MVLM_ASSIGN(AnnotatedBatches batches,
                AnnotatedBatches::Open(recipe_, start_.config, tokenizer_, longest));
    batches_ = std::make_unique<AnnotatedBatches>(std::move(batches));
    MVLM_TRY(OpenFeatures());
    if (recipe_.schedule.steps == 0) {
      recipe_.schedule.steps = recipe_.schedule.epochs * batches_->steps_per_epoch();
    }
    LoopStage stage;
    stage.module = start_.model.get();
    stage.optimizer = &optimizer_;
    stage.parallel = &parallel_;
    stage.saved = HowToSave(recipe_, start_);
    stage.data_fingerprint = batches_->Fingerprint();
    stage.part_names = {"token_accuracy"};
    stage.start = [this](int64_t first) { StartLoading(first); };
    stage.step = [this](int64_t step) { return Step(step); };
    if (batches_->held_back() > 0) stage.validate = [this] { return Validate(); };
    if (recipe_.run.samples > 0) stage.predict = [this] { return Predict(); };
    stage.take_tokens = [this] { return std::exchange(tokens_, 0); };
    stage.take_waited = [this] { return steps_->TakeWaitedSeconds(); };
    stage.left_out = [this] { return batches_->skipped().counts(); };
    stage.check_left_out = [this](const auto& of_all) { return batches_->skipped().Check(of_all); };
    stage.list_left_out = [this] { ListLeftOut(); };
    return RunLoop(stage, {run_directory_, recipe_, tells_share_of_peak_ ? threads_ : 0}, stop);
  }

 private:
  ParallelOptions Threads(ParallelOptions parallel) const {
    if (large_) parallel.threads = 1;
    return parallel;
  }

  Status OpenFeatures() {
    if (recipe_.data.feature_cache.empty() || !start_.config.multimodal) return {};
    MVLM_ASSIGN(PictureFeatures features, PictureFeatures::Open(recipe_.data.feature_cache,
                                                                start_.model->tower(), start_.config.image));
    features_ = std::make_unique<PictureFeatures>(std::move(features));
    batches_->UseFeatures(features_.get());
    return {};
  }

  void StartLoading(int64_t first) {
    const int loaders = static_cast<int>(recipe_.data.loaders);
    steps_ = std::make_unique<Prefetcher<std::vector<MicroBatch>>>(
        first, recipe_.schedule.steps, loaders, loaders + 1, [this](int64_t step) {
          return batches_->Step(step, [this](size_t micro_batch) { return parallel_.Owns(micro_batch); });
        });
  }

  // The tower stands still, so its features are no part of the graph.
  void SeePictures(MicroBatch& batch) {
    if (!batch.pixels.defined() || batch.features.defined()) return;
    const torch::NoGradGuard no_gradients;
    batch.features = start_.model->tower()->forward(batch.pixels);
    if (features_) batch.features = features_->Keep(batch.keys, batch.features);
    batch.pixels.reset();
  }

  StepLoss Step(int64_t step) {
    std::vector<MicroBatch> batches = steps_->Next();
    for (const MicroBatch& batch : batches) tokens_ += batch.text.used;
    return parallel_.Step(optimizer_.gradients(), batches.size(), [&](size_t i) {
      Random masks = Random::Stream(static_cast<uint64_t>(recipe_.run.seed),
                                    static_cast<uint64_t>(step) * batches.size() + i);
      const DropoutGuard dropout(masks.Next());
      SeePictures(batches[i]);
      MicroLoss loss = start_.model->Loss(batches[i]);
      batches[i] = {};
      return loss;
    });
  }

  nlohmann::json Validate() {
    const auto most = static_cast<size_t>(recipe_.run.validation_samples);
    if (examples_.empty()) examples_ = batches_->Examples(most);
    std::vector<Validation> parts(examples_.size());
    parallel_.ForEachOwned(examples_.size(), [&](size_t i) {
      MicroBatch batch = batches_->Collated({examples_[i]});
      SeePictures(batch);
      const MicroLoss loss = start_.model->Loss(batch);
      parts[i] = {loss.loss.item<double>() * loss.weight, loss.parts.at(0) * loss.weight, loss.weight};
    });
    std::vector<double> sums(3);
    for (const Validation& part : parts) {
      sums[0] += part.loss;
      sums[1] += part.right;
      sums[2] += part.tokens;
    }
    parallel_.processes().Sum(sums);
    if (sums[2] == 0) return {};  // none of them can be used
    return {{"loss", sums[0] / sums[2]}, {"token_accuracy", sums[1] / sums[2]}};
  }

  std::vector<SamplePrediction> Predict() {
    std::vector<SamplePrediction> predictions;
    for (const PreparedSample& sample : batches_->Examples(static_cast<size_t>(recipe_.run.samples))) {
      if (stop_->Requested()) break;
      MicroBatch batch = batches_->Collated({sample});
      SeePictures(batch);
      const Answered answered = AnswerSample(*start_.model, tokenizer_, sample.tokens, batch.features);
      std::string png;
      if (!sample.pictures.empty()) png = EncodePng(sample.pictures[0]).value_or("");
      predictions.push_back({sample.question, answered.wanted, answered.found, std::move(png)});
    }
    return predictions;
  }

  // Each process lists what it met itself, below what it met before it was resumed. A list that cannot be
  // written ends no training.
  void ListLeftOut() const {
    const int rank = parallel_.processes().rank();
    const std::string name = rank == 0 ? "skipped.txt" : fmt::format("skipped-{}.txt", rank);
    const std::string path = run_directory_ + "/" + recipe_.stage + "/" + name;
    const auto left_out = batches_->LeftOut();
    if (!left_out) return fmt::print(stderr, "{}\n", left_out.error().message);
    if (left_out->empty()) return;
    std::vector<std::string> lines;
    std::istringstream before(ReadFile(path, kLargestList).value_or(""));
    for (std::string line; std::getline(before, line);) lines.push_back(std::move(line));
    const std::set<std::string> listed(lines.begin(), lines.end());
    const size_t known = lines.size();
    std::copy_if(left_out->begin(), left_out->end(), std::back_inserter(lines),
                 [&](const std::string& line) { return !listed.contains(line); });
    if (lines.size() == known) return;
    const Status written = WriteFileAtomically(path, fmt::format("{}\n", fmt::join(lines, "\n")));
    if (!written) return fmt::print(stderr, "{}\n", written.error().message);
    fmt::print(stderr, "{}: {} samples could not be used; {} lists them\n", recipe_.stage, lines.size(),
               path);
  }

  Recipe recipe_;
  const std::string run_directory_;
  StartModel start_;
  Tokenizer tokenizer_;
  const int threads_;
  const bool tells_share_of_peak_;
  const bool large_;
  DataParallel parallel_;
  Optimizer optimizer_;
  std::unique_ptr<PictureFeatures> features_;
  std::unique_ptr<AnnotatedBatches> batches_;
  std::unique_ptr<Prefetcher<std::vector<MicroBatch>>> steps_;
  std::vector<PreparedSample> examples_;
  StopSignal* stop_ = nullptr;
  int64_t tokens_ = 0;  // since the last log line
};

}  // namespace

Result<LoopEnd> Finetune(const Recipe& recipe, const std::string& run_directory,
                         const ParallelOptions& parallel, StopSignal& stop) {
  // Bad annotations are told before minutes go into loading weights; one process indexes, the others find
  // that.
  const auto index = [&]() -> Status {
    MVLM_TRY(OpenDataset(recipe.data));
    return {};
  };
  MVLM_TRY(parallel.processes->OncePerMachine(index));
  MVLM_ASSIGN(StartModel start, LoadStartModel(recipe));
  MVLM_ASSIGN(Tokenizer tokenizer, MakeTokenizer(start.tokenizer_model, recipe.model.start));
  FinetuneRun run(recipe, run_directory, std::move(start), std::move(tokenizer), parallel);
  return run.Run(stop);
}

}  // namespace mobilevlm::train
