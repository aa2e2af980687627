// A finetune stage's steps from annotation files: order, pictures, prompts and labels, as the recipe says.
//
// A step is a pure function of its number, so a resumed run sees what it would have seen, on any number of
// processes. Pictures are decoded and resized by the engine's own code (image/), prompts are src/prompt's.
//
// Thread contract: const members may be called concurrently.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "data/sequence.h"
#include "data/skip_list.h"
#include "image/preprocess.h"
#include "schema/read_config.h"
#include "text/tokenizer.h"
#include "train/data/picture_features.h"
#include "train/data/token_batch.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

// One sample ready for the model.
struct PreparedSample {
  TokenSample tokens;
  std::vector<Image> pictures;  // as the tower sees them, not yet normalised
  std::string question;         // the first turn's, for people
};

// The recipe's annotation files; indexes those that are not yet indexed. An Error if their shares leave an
// epoch without a sample.
Result<data::Dataset> OpenDataset(const Recipe::Data& data);

class AnnotatedBatches {
 public:
  // Opens the files; run.validation_samples of them (at most a tenth) are held back from training.
  // `longest`: ids that the model has room for.
  static Result<AnnotatedBatches> Open(const Recipe& recipe, const HfConfig& config,
                                       const Tokenizer& tokenizer, int longest);

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  size_t micro_batches() const { return static_cast<size_t>(chunks_); }  // of a step, over all processes

  // The micro-batches of a step; those that `owns` declines stay empty. A sample that cannot be used is
  // replaced and counted; if nothing is found in its stead, std::runtime_error says so.
  std::vector<MicroBatch> Step(int64_t step, const std::function<bool(size_t)>& owns) const;

  // The first `most` samples held back; without any, those of training. One that cannot be used is left out
  // and counted.
  std::vector<PreparedSample> Examples(size_t most) const;
  size_t held_back() const { return held_back_.size(); }

  // With features of the pictures where all are kept, else with pixels, and keys to keep them by.
  MicroBatch Collated(const std::vector<PreparedSample>& samples) const;
  // Looks pictures up there from now on; null: never. Before the first batch.
  void UseFeatures(const PictureFeatures* features) { features_ = features; }

  // What Step's answers depend on besides the recipe's numbers.
  std::string Fingerprint() const { return dataset_->Fingerprint(); }
  // What could not be used so far: data.missing_limit says how many may be.
  const data::SkipList& skipped() const { return *skipped_; }
  // One line for every sample that was left out so far, with its file, number, id and what is wrong: those
  // with a defect, which no epoch has, and those that were replaced.
  Result<std::vector<std::string>> LeftOut() const;

 private:
  AnnotatedBatches() = default;
  Result<PreparedSample> Prepare(uint32_t sample, data::SampleReader& reader) const;
  Result<PreparedSample> PrepareContent(uint32_t sample, const data::Sample& content) const;
  PreparedSample PrepareOrReplace(uint32_t sample, data::SampleReader& reader) const;
  std::shared_ptr<const data::EpochOrder> Order(int64_t epoch) const;

  std::unique_ptr<data::Dataset> dataset_;
  const Tokenizer* tokenizer_ = nullptr;
  const PictureFeatures* features_ = nullptr;
  data::SequenceOptions sequence_;
  ImageConfig image_;
  ImageMode mode_ = ImageMode::kPad;
  int longest_ = 0;
  int micro_batch_ = 0, chunks_ = 0;
  bool grouped_ = false;
  uint64_t seed_ = 0;
  int64_t steps_per_epoch_ = 0;
  std::vector<uint32_t> held_back_;  // ascending
  std::unique_ptr<data::SkipList> skipped_;

  struct Orders {
    std::mutex mutex;
    std::map<int64_t, std::shared_ptr<const data::EpochOrder>> by_epoch;  // the last two asked for
  };
  std::unique_ptr<Orders> orders_;
};

}  // namespace mobilevlm::train
