#include "quality/check.h"

#include <algorithm>

namespace mobilevlm::quality {
namespace {

Status CheckRows(const data::Dataset& dataset, CheckReport& report) {
  data::SampleReader reader;
  for (uint32_t s = 0; s < dataset.size(); ++s) {
    const data::IndexRow& row = dataset.row(s);
    ++report.samples;
    report.text_only += row.pictures == 0;
    report.rounds += row.rounds;
    report.dropped_first_turns += (row.notes & data::kNoteDroppedFirstTurn) != 0;
    report.placed_pictures += (row.notes & data::kNotePlacedPicture) != 0;
    if (row.defect == data::Defect::kNone) continue;
    ++report.defects[static_cast<size_t>(row.defect)];
    MVLM_ASSIGN(const data::Sample sample, dataset.Read(s, reader));
    report.findings.push_back({s, fmt::format("{}: {}: {}", dataset.NameOf(s, &sample),
                                              data::DefectName(row.defect), sample.detail)});
  }
  return {};
}

struct Labels {
  bool usable = true;
  uint32_t tokens = 0, supervised = 0;
  bool cut = false;
  std::string error;
};

Status CheckLabels(const data::Dataset& dataset, const CheckOptions& options, const Work& work,
                   CheckReport& report) {
  const auto make = [&](uint32_t s, const data::Sample& sample, size_t) {
    Labels labels;
    if (sample.defect != data::Defect::kNone) return labels;
    const auto sequence = data::MakeSequence(*options.tokenizer, sample, options.sequence);
    if (!sequence) {
      labels.usable = false;
      labels.error = fmt::format("{}: {}", dataset.NameOf(s, &sample), sequence.error().message);
      return labels;
    }
    labels.tokens = static_cast<uint32_t>(sequence->ids.size());
    labels.supervised = static_cast<uint32_t>(sequence->supervised_ids);
    labels.cut = sequence->cut > 0;
    return labels;
  };
  return ScanSamples<Labels>(dataset, work, "making labels", make, [&](uint32_t s, const Labels& labels) {
    report.tokens += labels.tokens;
    report.supervised += labels.supervised;
    report.cut += labels.cut;
    if (!labels.usable) {
      ++report.without_labels;
      report.findings.push_back({s, labels.error});
    }
    return Status();
  });
}

}  // namespace

Result<CheckReport> Check(const data::Dataset& dataset, const CheckOptions& options, const Work& work) {
  CheckReport report;
  MVLM_TRY(CheckRows(dataset, report));
  if (options.tokenizer != nullptr) MVLM_TRY(CheckLabels(dataset, options, work, report));
  if (options.pictures) {
    PictureCatalog catalog;
    MVLM_TRY(catalog.Fill(dataset, work, report.pictures));
    data::SampleReader reader;
    for (const BadPicture& bad : report.pictures.bad) {
      MVLM_ASSIGN(const data::Sample sample, dataset.Read(bad.sample, reader));
      report.findings.push_back(
          {bad.sample, fmt::format("{}: {}", dataset.NameOf(bad.sample, &sample), bad.reason)});
    }
  }
  // One a sample: the first thing that was found.
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.sample < b.sample; });
  report.findings.erase(std::unique(report.findings.begin(), report.findings.end(),
                                    [](const Finding& a, const Finding& b) { return a.sample == b.sample; }),
                        report.findings.end());
  return report;
}

}  // namespace mobilevlm::quality
