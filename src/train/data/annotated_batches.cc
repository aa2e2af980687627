#include "train/data/annotated_batches.h"

#include <algorithm>
#include <stdexcept>

#include "base/random.h"
#include "image/decode.h"

namespace mobilevlm::train {
namespace {

constexpr int kMostReplacements = 16;    // for one sample, then something is wrong altogether
constexpr size_t kHeldBackDivisor = 10;  // no more than this part of the samples is held back

// Small shares of few samples may leave none. How many an epoch has, its number and the seed do not change.
Status RequireSamples(const data::Dataset& dataset) {
  if (!dataset.EpochSamples(/*seed=*/0, /*epoch=*/0).empty()) return {};
  std::vector<std::string> shares;
  for (size_t f = 0; f < dataset.files().size(); ++f) {
    const data::AnnotationFile& file = dataset.files()[f];
    shares.push_back(
        fmt::format("{} of {} samples of {}", dataset.weight(f), file.rows().size(), file.path()));
  }
  return Fail("data.shares: an epoch has no sample: {}", fmt::join(shares, ", "));
}

}  // namespace

Result<data::Dataset> OpenDataset(const Recipe::Data& data) {
  data::DatasetOptions options;
  for (size_t i = 0; i < data.annotations.size(); ++i) {
    options.sources.push_back({.annotations = data.annotations[i],
                               .image_root = data.images,
                               .weight = data.shares.empty() ? 1.0 : data.shares[i]});
  }
  options.skip_limit = data.missing_limit;
  options.open.progress = true;
  MVLM_ASSIGN(data::Dataset dataset, data::Dataset::Open(options));
  MVLM_TRY(RequireSamples(dataset));
  return dataset;
}

Result<AnnotatedBatches> AnnotatedBatches::Open(const Recipe& recipe, const HfConfig& config,
                                                const Tokenizer& tokenizer, int longest) {
  const Recipe::Data& data = recipe.data;
  AnnotatedBatches batches;
  MVLM_ASSIGN(data::Dataset dataset, OpenDataset(data));
  batches.dataset_ = std::make_unique<data::Dataset>(std::move(dataset));
  batches.tokenizer_ = &tokenizer;
  batches.sequence_.chat_template = *ParseChatTemplate(data.chat_template);
  batches.sequence_.visual = config.multimodal ? config.projector.tokens() : 0;
  batches.sequence_.max_tokens = static_cast<int>(data.max_length);
  batches.image_ = config.image;
  batches.mode_ = *ParseImageMode(data.image_mode);
  batches.longest_ = longest;
  batches.micro_batch_ = static_cast<int>(recipe.schedule.micro_batch);
  batches.chunks_ = static_cast<int>(recipe.schedule.batch / recipe.schedule.micro_batch);
  batches.grouped_ = data.group_by_modality_length;
  batches.seed_ = static_cast<uint64_t>(recipe.run.seed);
  batches.skipped_ = std::make_unique<data::SkipList>(data.missing_limit, batches.dataset_->size());
  batches.orders_ = std::make_unique<Orders>();

  std::vector<uint32_t> samples = batches.dataset_->EpochSamples(batches.seed_, 0);
  std::sort(samples.begin(), samples.end());  // a weight of two shows a sample twice
  samples.erase(std::unique(samples.begin(), samples.end()), samples.end());
  Random random = Random::Stream(batches.seed_, 0xE7A1);
  random.Shuffle(std::span(samples));
  const auto wanted = static_cast<size_t>(recipe.run.validation_samples);
  samples.resize(std::min(wanted, samples.size() / kHeldBackDivisor));
  std::sort(samples.begin(), samples.end());
  batches.held_back_ = std::move(samples);
  batches.steps_per_epoch_ = batches.Order(0)->steps();
  return batches;
}

std::shared_ptr<const data::EpochOrder> AnnotatedBatches::Order(int64_t epoch) const {
  const std::lock_guard lock(orders_->mutex);
  auto& order = orders_->by_epoch[epoch];
  if (!order) {
    std::vector<uint32_t> samples = dataset_->EpochSamples(seed_, static_cast<uint64_t>(epoch));
    std::erase_if(samples, [&](uint32_t sample) {
      return std::binary_search(held_back_.begin(), held_back_.end(), sample);
    });
    const data::OrderOptions options{
        .batch = micro_batch_,
        .chunks = chunks_,
        .grouping = grouped_ ? data::Grouping::kModalityLength : data::Grouping::kShuffle,
        .seed = seed_,
        .epoch = static_cast<uint64_t>(epoch)};
    order = std::make_shared<const data::EpochOrder>(samples, dataset_->Lengths(samples), options);
  }
  const std::shared_ptr<const data::EpochOrder> result = order;
  while (orders_->by_epoch.size() > 2) orders_->by_epoch.erase(orders_->by_epoch.begin());
  return result;
}

Result<PreparedSample> AnnotatedBatches::Prepare(uint32_t sample, data::SampleReader& reader) const {
  const auto content = dataset_->Read(sample, reader);
  if (!content) return Context(content.error(), "{}", dataset_->NameOf(sample));
  auto prepared = PrepareContent(sample, *content);
  if (!prepared) return Context(prepared.error(), "{}", dataset_->NameOf(sample, &*content));
  return prepared;
}

Result<PreparedSample> AnnotatedBatches::PrepareContent(uint32_t sample, const data::Sample& content) const {
  if (!content.images.empty() && sequence_.visual == 0) return Fail("a picture for a model without a tower");
  MVLM_ASSIGN(data::Sequence sequence, data::MakeSequence(*tokenizer_, content, sequence_));
  if (static_cast<int>(sequence.ids.size()) > longest_) {
    return Fail("{} ids, the model has room for {}", sequence.ids.size(), longest_);
  }
  PreparedSample prepared;
  for (size_t i = 0; i < sequence.image_starts.size(); ++i) {
    MVLM_ASSIGN(const Image picture, LoadImage(dataset_->PicturePath(sample, content.images[i])));
    prepared.pictures.push_back(ResizeForModel(picture, image_.image_size, mode_, image_.mean));
  }
  prepared.tokens.ids = std::move(sequence.ids);
  prepared.tokens.supervised = std::move(sequence.supervised);
  prepared.tokens.image_starts = std::move(sequence.image_starts);
  if (!content.turns.empty()) prepared.question = content.turns[0].user;
  return prepared;
}

PreparedSample AnnotatedBatches::PrepareOrReplace(uint32_t sample, data::SampleReader& reader) const {
  skipped_->Seen();
  uint32_t tried = sample;
  for (int attempt = 0; attempt < kMostReplacements; ++attempt) {
    if (!std::binary_search(held_back_.begin(), held_back_.end(), tried)) {
      auto prepared = Prepare(tried, reader);
      if (prepared) return std::move(*prepared);
      skipped_->Skip(tried, prepared.error().message);
    }
    tried = dataset_->Replacement(sample, seed_, attempt);
  }
  throw std::runtime_error(
      fmt::format("{}: no usable sample could be found in its stead", dataset_->NameOf(sample)));
}

MicroBatch AnnotatedBatches::Collated(const std::vector<PreparedSample>& samples) const {
  MicroBatch batch;
  std::vector<TokenSample> tokens;
  int64_t pictures = 0;
  for (const PreparedSample& sample : samples) {
    tokens.push_back(sample.tokens);
    pictures += static_cast<int64_t>(sample.pictures.size());
  }
  batch.text = Collate(tokens, sequence_.visual);
  if (pictures == 0) return batch;
  if (features_ != nullptr) {
    for (const PreparedSample& sample : samples) {
      for (const Image& picture : sample.pictures) batch.keys.push_back(data::FeatureKey(picture));
    }
    batch.features = features_->Find(batch.keys);
    if (batch.features.defined()) return batch;
  }
  const int64_t side = image_.image_size, elements = 3 * side * side;
  batch.pixels = torch::empty({pictures, 3, side, side});
  float* out = batch.pixels.data_ptr<float>();
  for (const PreparedSample& sample : samples) {
    for (const Image& picture : sample.pictures) {
      Normalise(picture, image_.mean, image_.std, {out, static_cast<size_t>(elements)});
      out += elements;
    }
  }
  return batch;
}

std::vector<MicroBatch> AnnotatedBatches::Step(int64_t step, const std::function<bool(size_t)>& owns) const {
  const std::shared_ptr<const data::EpochOrder> order = Order(step / steps_per_epoch_);
  data::SampleReader reader;
  std::vector<MicroBatch> batches(static_cast<size_t>(chunks_));
  for (size_t chunk = 0; chunk < batches.size(); ++chunk) {
    if (!owns(chunk)) continue;
    std::vector<PreparedSample> samples;
    // Another epoch has about as many steps, but weights below one may make it a few shorter.
    const int64_t within = (step % steps_per_epoch_) % order->steps();
    for (const uint32_t sample : order->Chunk(within, static_cast<int>(chunk))) {
      samples.push_back(PrepareOrReplace(sample, reader));
    }
    batches[chunk] = Collated(samples);
  }
  return batches;
}

std::vector<PreparedSample> AnnotatedBatches::Examples(size_t most) const {
  std::vector<uint32_t> numbers = held_back_;
  if (numbers.empty()) {
    const std::shared_ptr<const data::EpochOrder> order = Order(0);
    numbers.assign(order->order().begin(), order->order().end());
  }
  std::vector<PreparedSample> examples;
  data::SampleReader reader;
  for (size_t i = 0; i < numbers.size() && examples.size() < most; ++i) {
    auto prepared = Prepare(numbers[i], reader);
    if (!prepared) {
      skipped_->Skip(numbers[i], prepared.error().message);
      continue;
    }
    examples.push_back(std::move(*prepared));
  }
  return examples;
}

Result<std::vector<std::string>> AnnotatedBatches::LeftOut() const {
  MVLM_ASSIGN(std::vector<std::string> lines, dataset_->DefectReasons());
  const std::vector<std::string> skipped = skipped_->Reasons();
  lines.insert(lines.end(), skipped.begin(), skipped.end());
  return lines;
}

}  // namespace mobilevlm::train
