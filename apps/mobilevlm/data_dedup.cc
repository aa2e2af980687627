// mobilevlm data dedup: samples that say the same twice.
#include <fmt/format.h>

#include <memory>

#include "data_commands.h"
#include "page/page.h"
#include "quality/pages.h"

namespace mobilevlm::app {
namespace {

using page::Thousands;
using quality::DuplicateReport;
using quality::Verdict;

struct DedupFlags {
  DataFlags data;
  std::string out, html, list;
  bool exact = false;
  bool no_pictures = false;
  int distance = quality::kPictureDistance;
};

nlohmann::ordered_json ReportJson(const data::Dataset& dataset, const DuplicateReport& r) {
  return {{"samples", dataset.size()},
          {"kept", dataset.size() - r.exact - r.near},
          {"exact_duplicates", r.exact},
          {"near_duplicates", r.near},
          {"conflicts", r.conflicts},
          {"pictures", r.pictures},
          {"same_pictures", r.same_pictures},
          {"near_pictures", r.near_pictures},
          {"unread_pictures", r.unread_pictures},
          {"long_answers", r.long_answers},
          {"repeated_long_answers", r.repeated_answers}};
}

void PrintReport(const data::Dataset& dataset, const DuplicateReport& r, bool pictures) {
  fmt::print("{} samples: {} exact duplicates, {} near duplicates, {} stay\n", Thousands(dataset.size()),
             Thousands(r.exact), Thousands(r.near), Thousands(dataset.size() - r.exact - r.near));
  fmt::print("{} samples ask what another one asks about the same picture, and answer otherwise\n",
             Thousands(r.conflicts));
  if (pictures) {
    fmt::print(
        "{} picture files: {} have the pixels of another, {} look like another; {} samples without a "
        "readable "
        "picture\n",
        Thousands(r.pictures), Thousands(r.same_pictures), Thousands(r.near_pictures),
        Thousands(r.unread_pictures));
  }
  fmt::print("{} of {} long answers stand nearly word for word under another sample\n",
             Thousands(r.repeated_answers), Thousands(r.long_answers));
}

// One line for every sample that goes.
Status WriteList(const data::Dataset& dataset, const DuplicateReport& report, AtomicFile& file,
                 const quality::Work& work) {
  MVLM_TRY(quality::ForEach(work, "writing the list", dataset.size(), [&](uint64_t i) -> Status {
    const auto s = static_cast<uint32_t>(i);
    if (report.verdicts[s] == Verdict::kKept) return {};
    return file.Write(ToLine({{"sample", dataset.NameOf(s)},
                              {"same_as", dataset.NameOf(report.same_as[s])},
                              {"how", report.verdicts[s] == Verdict::kExact ? "exact" : "near"}}));
  }));
  return file.Commit();
}

Status WriteKept(const DuplicateReport& report, quality::AnnotationWriter& writer,
                 const quality::Work& work) {
  MVLM_TRY(quality::ForEach(work, "writing samples", report.verdicts.size(), [&](uint64_t i) -> Status {
    if (report.verdicts[i] != Verdict::kKept) return {};
    return writer.Add(static_cast<uint32_t>(i));
  }));
  return writer.Commit();
}

Status RunDedup(const DedupFlags& flags) {
  MVLM_ASSIGN(const data::Dataset dataset,
              OpenDataset(flags.data.files, flags.data.images, flags.data.threads));
  MVLM_TRY(CheckOutputs({flags.out, flags.list, flags.html}, {&dataset}));
  MVLM_ASSIGN(auto out, CreateIfNamed(flags.out, dataset));
  MVLM_ASSIGN(std::optional<AtomicFile> list, CreateIfNamed(flags.list));
  MVLM_ASSIGN(std::optional<AtomicFile> html, CreateIfNamed(flags.html));
  DataWork work(flags.data);
  quality::DuplicateOptions options;
  options.pictures = !flags.no_pictures;
  options.near = !flags.exact;
  options.picture_distance = flags.distance;
  MVLM_ASSIGN(const DuplicateReport report, quality::FindDuplicates(dataset, options, work.work()));
  if (out) MVLM_TRY(WriteKept(report, *out, work.work()));
  if (list) MVLM_TRY(WriteList(dataset, report, *list, work.work()));
  if (html) {
    MVLM_ASSIGN(const std::string page, quality::DuplicatesPage(dataset, report, NamesOf(dataset)));
    MVLM_TRY(html->Write(page));
    MVLM_TRY(html->Commit());
  }
  flags.data.json ? PrintJson(ReportJson(dataset, report)) : PrintReport(dataset, report, options.pictures);
  return {};
}

}  // namespace

void AddDataDedupCommand(CLI::App& data, Status& status) {
  CLI::App* command =
      data.add_subcommand("dedup",
                          "Find samples that say the same twice, and write the others\n\n"
                          "Examples:\n"
                          "  mobilevlm data dedup annotations.json -o unique.json --html duplicates.html\n"
                          "  mobilevlm data dedup a.json b.json --exact --list duplicates.jsonl\n\n"
                          "Exact: the same pixels and the same words. Near: pictures that look the same, the "
                          "same question, nearly\n"
                          "the same answer. The first of each group stays.");
  const auto flags = std::make_shared<DedupFlags>();
  AddDataFlags(*command, flags->data);
  command->add_option("-o,--out", flags->out, "Write the samples that stay to this new annotation file");
  command->add_option("--html", flags->html, "Write a page with what was found");
  command->add_option("--list", flags->list, "Write one JSON line for every sample that goes");
  command->add_flag("--exact", flags->exact, "Exact duplicates only");
  command->add_flag("--no-pictures", flags->no_pictures, "Do not read the pictures: compare their paths");
  command
      ->add_option("--distance", flags->distance,
                   "Bits (of 64) in which pictures that look the same may differ")
      ->check(WholeNumber(0, 11))
      ->capture_default_str();
  command->callback([flags, &status] { status = RunDedup(*flags); });
}

}  // namespace mobilevlm::app
