// mobilevlm data leak: what a training set shares with an evaluation set.
#include <fmt/format.h>

#include <memory>

#include "data_commands.h"
#include "page/page.h"
#include "quality/pages.h"

namespace mobilevlm::app {
namespace {

using page::Thousands;
using quality::Leak;
using quality::LeakName;
using quality::LeakReport;

struct LeakFlags {
  DataFlags data;
  std::vector<std::string> evaluation;
  std::string evaluation_images;
  std::string out, html, list;
  bool no_pictures = false;
  bool text = false;
  int distance = quality::kPictureDistance;
  double limit = 100;
};

nlohmann::ordered_json ReportJson(const data::Dataset& training, const LeakReport& r) {
  nlohmann::ordered_json json = {{"samples", training.size()},
                                 {"evaluation_samples", r.evaluation_samples},
                                 {"evaluation_samples_met", r.evaluation_hit},
                                 {"evaluation_unread_pictures", r.evaluation_pictures.bad_samples},
                                 {"unread_pictures", r.training_pictures.bad_samples}};
  for (size_t i = 1; i < r.counts.size(); ++i) {
    json["leaks"][std::string(LeakName(static_cast<Leak>(i)))] = r.counts[i];
  }
  return json;
}

void PrintUnread(const char* samples, const quality::CatalogReport& r) {
  if (r.bad.empty()) return;
  fmt::print("{:>12}  {} with a picture that cannot be read and was not compared: {}\n",
             Thousands(r.bad_samples), samples, r.bad.front().reason);
}

void PrintReport(const data::Dataset& training, const data::Dataset& evaluation, const LeakReport& r) {
  fmt::print("{} of {} training samples show a picture of the evaluation; {} of its {} samples are met\n",
             Thousands(r.pictures()), Thousands(training.size()), Thousands(r.evaluation_hit),
             Thousands(r.evaluation_samples));
  for (size_t i = r.counts.size() - 1; i > 0; --i) {
    fmt::print("{:>12}  {}\n", Thousands(r.counts[i]), LeakName(static_cast<Leak>(i)));
  }
  PrintUnread("evaluation samples", r.evaluation_pictures);
  PrintUnread("training samples", r.training_pictures);
  constexpr size_t kPrinted = 5;
  for (size_t i = 0; i < std::min(kPrinted, r.shown.size()); ++i) {
    const uint32_t s = r.shown[i];
    fmt::print("{}: {}: {}\n", training.NameOf(s), LeakName(r.leaks[s]), evaluation.NameOf(r.evaluation[s]));
  }
}

Status WriteList(const data::Dataset& training, const data::Dataset& evaluation, const LeakReport& report,
                 AtomicFile& file, const quality::Work& work) {
  MVLM_TRY(quality::ForEach(work, "writing the list", training.size(), [&](uint64_t i) -> Status {
    const auto s = static_cast<uint32_t>(i);
    if (report.leaks[s] == Leak::kNone) return {};
    return file.Write(ToLine({{"sample", training.NameOf(s)},
                              {"meets", evaluation.NameOf(report.evaluation[s])},
                              {"how", LeakName(report.leaks[s])}}));
  }));
  return file.Commit();
}

Status WriteClean(const LeakReport& report, Leak least, quality::AnnotationWriter& writer,
                  const quality::Work& work) {
  MVLM_TRY(quality::ForEach(work, "writing samples", report.leaks.size(), [&](uint64_t i) -> Status {
    if (report.leaks[i] >= least) return {};
    return writer.Add(static_cast<uint32_t>(i));
  }));
  return writer.Commit();
}

Status RunLeak(const LeakFlags& flags) {
  const DataFlags& data = flags.data;
  MVLM_ASSIGN(const data::Dataset training, OpenDataset(data.files, data.images, data.threads));
  MVLM_ASSIGN(const data::Dataset evaluation,
              OpenDataset(flags.evaluation, flags.evaluation_images, data.threads));
  MVLM_TRY(CheckOutputs({flags.out, flags.list, flags.html}, {&training, &evaluation}));
  MVLM_ASSIGN(auto out, CreateIfNamed(flags.out, training));
  MVLM_ASSIGN(std::optional<AtomicFile> list, CreateIfNamed(flags.list));
  MVLM_ASSIGN(std::optional<AtomicFile> html, CreateIfNamed(flags.html));
  DataWork work(data);
  quality::LeakOptions options;
  options.pictures = !flags.no_pictures;
  options.picture_distance = flags.distance;
  MVLM_ASSIGN(const LeakReport report, quality::FindLeaks(training, evaluation, options, work.work()));
  if (out) MVLM_TRY(WriteClean(report, flags.text ? Leak::kText : Leak::kNearPicture, *out, work.work()));
  if (list) MVLM_TRY(WriteList(training, evaluation, report, *list, work.work()));
  if (html) {
    const std::string title = fmt::format("{} against {}", NamesOf(training), NamesOf(evaluation));
    MVLM_ASSIGN(const std::string page, quality::LeaksPage(training, evaluation, report, title));
    MVLM_TRY(html->Write(page));
    MVLM_TRY(html->Commit());
  }
  data.json ? PrintJson(ReportJson(training, report)) : PrintReport(training, evaluation, report);
  const double share = 100.0 * static_cast<double>(report.pictures()) / static_cast<double>(training.size());
  if (share <= flags.limit) return {};
  return Fail("{}: {:.3g} % of the samples show a picture of the evaluation, more than {:g} %",
              NamesOf(training), share, flags.limit);
}

}  // namespace

void AddDataLeakCommand(CLI::App& data, Status& status) {
  CLI::App* command = data.add_subcommand(
      "leak",
      "Find pictures and questions of an evaluation set in the training data\n\n"
      "Examples:\n"
      "  mobilevlm data leak annotations.json --eval questions.jsonl --eval-images val2014 --html "
      "leaks.html\n"
      "  mobilevlm data leak annotations.json --eval test.json -o clean.json --limit 0\n\n"
      "The evaluation may be annotations or LLaVA's question files ({\"question_id\", \"image\", \"text\"} a "
      "line).");
  const auto flags = std::make_shared<LeakFlags>();
  AddDataFlags(*command, flags->data);
  command->add_option("--eval", flags->evaluation, "The evaluation set")->required();
  command->add_option("--eval-images", flags->evaluation_images,
                      "Directory of its pictures (default: that of each file)");
  command->add_option("-o,--out", flags->out,
                      "Write the samples that share no picture to this new annotation file");
  command->add_flag("--text", flags->text, "Leave out those that share a long question, too");
  command->add_option("--html", flags->html, "Write a page with what was found");
  command->add_option("--list", flags->list, "Write one JSON line for every sample that shares something");
  command->add_flag("--no-pictures", flags->no_pictures,
                    "Do not read the pictures: compare the names of their files");
  command
      ->add_option("--distance", flags->distance,
                   "Bits (of 64) in which pictures that look the same may differ")
      ->check(WholeNumber(0, 11))
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "Percent of samples with a shared picture that are an error")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->callback([flags, &status] { status = RunLeak(*flags); });
}

}  // namespace mobilevlm::app
