// Several annotation files as one set of samples, each file with a weight and its own image root.
//
//   MVLM_ASSIGN(Dataset dataset, Dataset::Open({.sources = {{.annotations = "a.json"}}}));
//   const std::vector<uint32_t> samples = dataset.EpochSamples(seed, epoch);
//   const EpochOrder order(samples, dataset.Lengths(samples), {.batch = 16, .chunks = world});
//   SampleReader reader;
//   for (uint32_t sample : order.Chunk(step, rank)) dataset.Read(sample, reader);
//
// Thread contract: immutable after Open; concurrent calls are fine, each thread with its own reader.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/annotation_file.h"
#include "data/sampler.h"
#include "data/skip_list.h"

namespace mobilevlm::data {

struct AnnotationSource {
  std::string annotations = {};
  std::string image_root = {};  // pictures' paths are relative to it; empty: the directory of the annotations
  double weight = 1.0;          // how often an epoch shows each sample: 2 twice, 0.5 every other time
};

struct DatasetOptions {
  std::vector<AnnotationSource> sources;
  double skip_limit = 0.01;  // more samples with a defect than this share of a file are an Error
  bool require_usable =
      true;  // false: files may hold nothing that can be trained on, like an evaluation's questions
  OpenOptions open = {};
};

class Dataset {
 public:
  // Indexes what is not yet indexed. A weight below 0, no usable sample or too many defects is an Error; the
  // latter names the first sample and what is wrong with it.
  static Result<Dataset> Open(const DatasetOptions& options);

  uint64_t size() const { return starts_.back(); }  // samples of all files, those with a defect too
  uint64_t defects() const { return defects_; }
  // A line for each of them: its name (NameOf) and what is wrong.
  Result<std::vector<std::string>> DefectReasons() const;

  const IndexRow& row(uint32_t sample) const;
  bool usable(uint32_t sample) const { return row(sample).defect == Defect::kNone; }
  Result<Sample> Read(uint32_t sample, SampleReader& reader) const;
  // The file of a picture of this sample. Absolute paths stay as they are.
  std::string PicturePath(uint32_t sample, const std::string& image) const;
  // "FILE: sample 17 (id a1)"; without the sample's content there is no id.
  std::string NameOf(uint32_t sample, const Sample* content = nullptr) const;
  // A usable sample with (or without) pictures in the stead of `sample`, the same for the same `attempt`:
  // what training takes when a picture cannot be read. `sample` itself if there is no other.
  uint32_t Replacement(uint32_t sample, uint64_t seed, int attempt) const;

  // The samples of an epoch, ascending within a file: usable ones, by the weights of their files. A fraction
  // is another random choice each epoch.
  std::vector<uint32_t> EpochSamples(uint64_t seed, uint64_t epoch) const;
  // For EpochOrder: [samples].
  std::vector<int32_t> Lengths(const std::vector<uint32_t>& samples) const;
  // One word for content, order and weights: a checkpoint that another dataset made cannot be resumed
  // exactly.
  std::string Fingerprint() const;

  const std::vector<AnnotationFile>& files() const { return files_; }
  // All files were opened with the same explicit image root.
  bool one_root_given() const { return one_root_given_; }
  const std::string& image_root(size_t file) const { return sources_[file].image_root; }
  double weight(size_t file) const { return sources_[file].weight; }
  // Which file, and which row of it.
  std::pair<size_t, size_t> PlaceOf(uint32_t sample) const;
  // The number of a file's first sample.
  uint64_t start(size_t file) const { return starts_[file]; }

 private:
  std::vector<AnnotationFile> files_;
  std::vector<AnnotationSource> sources_;
  std::vector<uint64_t> starts_ = {0};  // [files + 1] number of each file's first sample
  uint64_t defects_ = 0;
  bool one_root_given_ = false;
};

}  // namespace mobilevlm::data
