#include "quality/check.h"

#include <algorithm>

namespace mobilevlm::quality {
namespace {

class Checker {
 public:
  Checker(const data::Dataset& dataset, const CheckOptions& options, const Work& work)
      : dataset_(dataset), options_(options), work_(work), unusable_(dataset.size(), false) {}

  Status Rows() {
    data::SampleReader reader;
    for (uint32_t s = 0; s < dataset_.size(); ++s) {
      const data::IndexRow& row = dataset_.row(s);
      ++report_.samples;
      report_.text_only += row.pictures == 0;
      report_.rounds += row.rounds;
      report_.dropped_first_turns += (row.notes & data::kNoteDroppedFirstTurn) != 0;
      report_.placed_pictures += (row.notes & data::kNotePlacedPicture) != 0;
      if (row.defect == data::Defect::kNone) continue;
      ++report_.defects[static_cast<size_t>(row.defect)];
      if (!Listing(s)) continue;
      MVLM_ASSIGN(const data::Sample sample, dataset_.Read(s, reader));
      Add(s, fmt::format("{}: {}: {}", dataset_.NameOf(s, &sample), data::DefectName(row.defect),
                         sample.detail));
    }
    return {};
  }

  Status Labels() {
    const auto make = [&](uint32_t s, const data::Sample& sample, size_t) { return MakeLabels(s, sample); };
    return ScanSamples<LabelCount>(dataset_, work_, "making labels", make,
                                   [&](uint32_t s, const LabelCount& count) {
                                     report_.tokens += count.tokens;
                                     report_.supervised += count.supervised;
                                     report_.cut += count.cut;
                                     if (count.error.empty()) return Status();
                                     ++report_.without_labels;
                                     if (Listing(s)) Add(s, count.error);
                                     return Status();
                                   });
  }

  Status Pictures() {
    PictureCatalog catalog;
    MVLM_TRY(catalog.Fill(dataset_, work_, report_.pictures));
    data::SampleReader reader;
    for (const BadPicture& bad : report_.pictures.bad) {
      if (!Listing(bad.sample)) continue;
      MVLM_ASSIGN(const data::Sample sample, dataset_.Read(bad.sample, reader));
      Add(bad.sample, fmt::format("{}: {}", dataset_.NameOf(bad.sample, &sample), bad.reason));
    }
    // Those behind the list are counted, too; a few of them may have been unusable before.
    report_.unusable += report_.pictures.bad_samples - report_.pictures.bad.size();
    return {};
  }

  CheckReport Take() {
    std::sort(report_.findings.begin(), report_.findings.end(),
              [](const Finding& a, const Finding& b) { return a.sample < b.sample; });
    return std::move(report_);
  }

 private:
  struct LabelCount {
    uint32_t tokens = 0, supervised = 0;
    bool cut = false;
    std::string error;
  };

  LabelCount MakeLabels(uint32_t s, const data::Sample& sample) const {
    LabelCount count;
    if (sample.defect != data::Defect::kNone) return count;
    const auto sequence = data::MakeSequence(*options_.tokenizer, sample, options_.sequence);
    if (!sequence) {
      count.error = fmt::format("{}: {}", dataset_.NameOf(s, &sample), sequence.error().message);
      return count;
    }
    count.tokens = static_cast<uint32_t>(sequence->ids.size());
    count.supervised = static_cast<uint32_t>(sequence->supervised_ids);
    count.cut = sequence->cut > 0;
    return count;
  }

  // Counts the sample as unusable; true if it is new and there is room for what is wrong with it.
  bool Listing(uint32_t s) {
    if (unusable_[s]) return false;
    unusable_[s] = true;
    ++report_.unusable;
    return report_.findings.size() < CatalogReport::kListed;
  }
  void Add(uint32_t s, std::string what) { report_.findings.push_back({s, std::move(what)}); }

  const data::Dataset& dataset_;
  const CheckOptions& options_;
  const Work& work_;
  CheckReport report_;
  std::vector<bool> unusable_;  // [samples]
};

}  // namespace

Result<CheckReport> Check(const data::Dataset& dataset, const CheckOptions& options, const Work& work) {
  Checker checker(dataset, options, work);
  MVLM_TRY(checker.Rows());
  if (options.tokenizer != nullptr) MVLM_TRY(checker.Labels());
  if (options.pictures) MVLM_TRY(checker.Pictures());
  return checker.Take();
}

}  // namespace mobilevlm::quality
