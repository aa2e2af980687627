#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/random.h"

namespace mobilevlm::data {
namespace {

// "FILE: sample 17 (id a1): DEFECT: detail".
Result<std::string> DefectReason(const AnnotationFile& file, size_t row, SampleReader& reader) {
  MVLM_ASSIGN(const Sample sample, file.Read(row, reader));
  return fmt::format("{}: {}: {}", file.NameOf(row, &sample), DefectName(sample.defect), sample.detail);
}

// Samples with a defect; an Error if they are too many.
Result<uint64_t> CountDefects(const AnnotationFile& file, double limit) {
  uint64_t defects = 0;
  size_t first = 0;
  const std::span<const IndexRow> rows = file.rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].defect != Defect::kNone && defects++ == 0) first = i;
  }
  if (static_cast<double>(defects) <= limit * static_cast<double>(rows.size())) return defects;
  SampleReader reader;
  MVLM_ASSIGN(const std::string reason, DefectReason(file, first, reader));
  return Fail("{}; {} of {} samples cannot be used, more than {:g} %", reason, defects, rows.size(),
              100 * limit);
}

}  // namespace

Result<Dataset> Dataset::Open(const DatasetOptions& options) {
  Dataset dataset;
  bool any = false;
  for (const AnnotationSource& source : options.sources) {
    if (!(source.weight >= 0) || source.weight > 1e6) {
      return Fail("{}: wanted a weight from 0 to 1000000, found {}", source.annotations, source.weight);
    }
    MVLM_ASSIGN(AnnotationFile file, AnnotationFile::Open(source.annotations, options.open));
    MVLM_ASSIGN(const uint64_t defects, CountDefects(file, options.skip_limit));
    any = any || (source.weight > 0 && defects < file.rows().size());
    dataset.defects_ += defects;
    dataset.starts_.push_back(dataset.starts_.back() + file.rows().size());
    dataset.files_.push_back(std::move(file));
    dataset.sources_.push_back(source);
    if (source.image_root.empty()) {
      dataset.sources_.back().image_root = std::filesystem::path(source.annotations).parent_path().string();
    }
  }
  dataset.one_root_given_ =
      std::all_of(options.sources.begin(), options.sources.end(), [&](const AnnotationSource& source) {
        return !source.image_root.empty() && source.image_root == options.sources.front().image_root;
      });
  if (!any && options.require_usable) return Fail("data: there is no usable sample");
  if (dataset.size() > std::numeric_limits<uint32_t>::max()) {
    return Fail("data: {} samples; at most {} are possible", dataset.size(),
                std::numeric_limits<uint32_t>::max());
  }
  return dataset;
}

Result<std::vector<std::string>> Dataset::DefectReasons() const {
  std::vector<std::string> reasons;
  SampleReader reader;
  for (const AnnotationFile& file : files_) {
    const std::span<const IndexRow> rows = file.rows();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].defect == Defect::kNone) continue;
      MVLM_ASSIGN(std::string reason, DefectReason(file, i, reader));
      reasons.push_back(std::move(reason));
    }
  }
  return reasons;
}

std::pair<size_t, size_t> Dataset::PlaceOf(uint32_t sample) const {
  MVLM_CHECK(sample < size(), "sample {} of {}", sample, size());
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), sample);
  const auto file = static_cast<size_t>(after - starts_.begin()) - 1;
  return {file, sample - starts_[file]};
}

const IndexRow& Dataset::row(uint32_t sample) const {
  const auto [file, row] = PlaceOf(sample);
  return files_[file].rows()[row];
}

Result<Sample> Dataset::Read(uint32_t sample, SampleReader& reader) const {
  const auto [file, row] = PlaceOf(sample);
  return files_[file].Read(row, reader);
}

std::string Dataset::PicturePath(uint32_t sample, const std::string& image) const {
  return (std::filesystem::path(sources_[PlaceOf(sample).first].image_root) / image).string();
}

std::string Dataset::NameOf(uint32_t sample, const Sample* content) const {
  const auto [file, row] = PlaceOf(sample);
  return files_[file].NameOf(row, content);
}

uint32_t Dataset::Replacement(uint32_t sample, uint64_t seed, int attempt) const {
  constexpr int kDraws = 1000;
  const bool pictures = row(sample).pictures > 0;
  const auto [file, unused] = PlaceOf(sample);
  (void)unused;
  Random random = Random::Stream(seed ^ (uint64_t{sample} << 20), static_cast<uint64_t>(attempt));
  for (int i = 0; i < kDraws; ++i) {
    // From the same file first, so that the mix stays as it is.
    const bool same = i < kDraws / 2;
    const uint64_t begin = same ? starts_[file] : 0, end = same ? starts_[file + 1] : size();
    const auto other = static_cast<uint32_t>(begin + random.Below(end - begin));
    if (other == sample || !usable(other) || (row(other).pictures > 0) != pictures) continue;
    if (sources_[PlaceOf(other).first].weight > 0) return other;
  }
  return sample;
}

std::vector<uint32_t> Dataset::EpochSamples(uint64_t seed, uint64_t epoch) const {
  std::vector<uint32_t> samples;
  for (size_t f = 0; f < files_.size(); ++f) {
    std::vector<uint32_t> usable_samples;
    const std::span<const IndexRow> rows = files_[f].rows();
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].defect == Defect::kNone) usable_samples.push_back(static_cast<uint32_t>(starts_[f] + i));
    }
    const double weight = sources_[f].weight;
    const auto whole = static_cast<size_t>(std::floor(weight));
    for (size_t i = 0; i < whole; ++i) {
      samples.insert(samples.end(), usable_samples.begin(), usable_samples.end());
    }
    const auto rest = static_cast<size_t>(
        std::llround((weight - static_cast<double>(whole)) * static_cast<double>(usable_samples.size())));
    if (rest == 0) continue;
    Random random = Random::Stream(seed ^ (0xF11Eull + f), epoch);
    random.Shuffle(std::span(usable_samples));
    std::sort(usable_samples.begin(), usable_samples.begin() + static_cast<ptrdiff_t>(rest));
    samples.insert(samples.end(), usable_samples.begin(),
                   usable_samples.begin() + static_cast<ptrdiff_t>(rest));
  }
  return samples;
}

std::vector<int32_t> Dataset::Lengths(const std::vector<uint32_t>& samples) const {
  std::vector<int32_t> lengths;
  lengths.reserve(samples.size());
  for (const uint32_t sample : samples) lengths.push_back(row(sample).length());
  return lengths;
}

std::string Dataset::Fingerprint() const {
  std::string text;
  for (size_t f = 0; f < files_.size(); ++f) {
    text += fmt::format("{:x} {} {};", files_[f].fingerprint(), files_[f].rows().size(), sources_[f].weight);
  }
  return ToHex(HashBytes(text.data(), text.size())).substr(0, 16);
}

}  // namespace mobilevlm::data
