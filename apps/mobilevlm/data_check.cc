// mobilevlm data check: is every sample usable?
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "data_commands.h"
#include "load_tokenizer.h"
#include "page/page.h"
#include "quality/check.h"

namespace mobilevlm::app {
namespace {

using Json = nlohmann::ordered_json;
using page::Thousands;
using quality::CheckReport;

constexpr size_t kPrintedFindings = 10;  // findings on the terminal; --list has all

struct CheckFlags {
  DataFlags data;
  bool no_pictures = false;
  std::string tokenizer;
  std::string chat_template = "v1";
  int max_tokens = 2048;
  int visual = 144;
  double limit = 1.0;
  std::string list;
};

void PrintReport(const CheckReport& r, const CheckFlags& flags) {
  fmt::print("{} samples, {} text only, {} questions\n", Thousands(r.samples), Thousands(r.text_only),
             Thousands(r.rounds));
  for (size_t i = 1; i < r.defects.size(); ++i) {
    if (r.defects[i] > 0) {
      fmt::print("{:>12}  {}\n", Thousands(r.defects[i]), data::DefectName(static_cast<data::Defect>(i)));
    }
  }
  if (!flags.no_pictures) {
    fmt::print("{:>12}  pictures can be read ({} of them read now)\n", Thousands(r.pictures.pictures),
               Thousands(r.pictures.hashed));
    fmt::print("{:>12}  samples with a missing picture, {} with a broken one\n",
               Thousands(r.pictures.missing), Thousands(r.pictures.broken));
  }
  if (!flags.tokenizer.empty()) {
    fmt::print("{:>12}  ids, {} of them supervised; {} samples are longer than {}\n", Thousands(r.tokens),
               Thousands(r.supervised), Thousands(r.cut), flags.max_tokens);
    fmt::print("{:>12}  samples without any label\n", Thousands(r.without_labels));
  }
  if (r.dropped_first_turns > 0) {
    fmt::print("{:>12}  begin with an answer, which is left out\n", Thousands(r.dropped_first_turns));
  }
  if (r.placed_pictures > 0) {
    fmt::print("{:>12}  have pictures but no {}: they go in front\n", Thousands(r.placed_pictures),
               kImageMark);
  }
  fmt::print("{:>12}  cannot be used\n", Thousands(r.unusable));
  for (size_t i = 0; i < std::min(r.findings.size(), kPrintedFindings); ++i)
    fmt::print("{}\n", r.findings[i].what);
  if (r.unusable > kPrintedFindings) {
    fmt::print("and {} more{}\n", Thousands(r.unusable - kPrintedFindings),
               flags.list.empty() ? " (--list FILE writes them)" : "");
  }
}

Json ReportJson(const CheckReport& r) {
  Json json = {{"samples", r.samples},
               {"text_only", r.text_only},
               {"questions", r.rounds},
               {"unusable", r.unusable},
               {"pictures", r.pictures.pictures},
               {"missing_pictures", r.pictures.missing},
               {"broken_pictures", r.pictures.broken},
               {"without_labels", r.without_labels},
               {"cut", r.cut},
               {"ids", r.tokens},
               {"supervised", r.supervised},
               {"begin_with_an_answer", r.dropped_first_turns},
               {"pictures_without_any_mark", r.placed_pictures}};
  json["defects"] = Json::object();
  for (size_t i = 1; i < r.defects.size(); ++i) {
    json["defects"][std::string(data::DefectName(static_cast<data::Defect>(i)))] = r.defects[i];
  }
  return json;
}

Status RunCheck(const CheckFlags& flags) {
  const auto chat_template = ParseChatTemplate(flags.chat_template);
  if (!chat_template) return Fail("--template: wanted v1 or plain, found {}", flags.chat_template);
  std::optional<Tokenizer> tokenizer;
  if (!flags.tokenizer.empty()) {
    MVLM_ASSIGN(Tokenizer loaded, LoadAnyTokenizer(flags.tokenizer));
    tokenizer.emplace(std::move(loaded));
  }
  MVLM_ASSIGN(const data::Dataset dataset,
              OpenDataset(flags.data.files, flags.data.images, flags.data.threads));
  MVLM_TRY(CheckOutputs({flags.list}, {&dataset}));
  MVLM_ASSIGN(std::optional<AtomicFile> list, CreateIfNamed(flags.list));
  DataWork work(flags.data);
  quality::CheckOptions options;
  options.pictures = !flags.no_pictures;
  options.tokenizer = tokenizer ? &*tokenizer : nullptr;
  options.sequence = {
      .chat_template = *chat_template, .system = {}, .visual = flags.visual, .max_tokens = flags.max_tokens};
  MVLM_ASSIGN(const CheckReport report, quality::Check(dataset, options, work.work()));
  flags.data.json ? PrintJson(ReportJson(report)) : PrintReport(report, flags);
  if (list) {
    std::string text;
    for (const quality::Finding& finding : report.findings) text += finding.what + "\n";
    MVLM_TRY(list->Write(text));
    MVLM_TRY(list->Commit());
  }
  const double share = 100.0 * static_cast<double>(report.unusable) / static_cast<double>(report.samples);
  if (share <= flags.limit) return {};
  return Fail("{}: {} of {} samples cannot be used, {:.3g} %, more than {:g} %; the first: {}",
              NamesOf(dataset), report.unusable, report.samples, share, flags.limit,
              report.findings.front().what);
}

}  // namespace

void AddDataCheckCommand(CLI::App& data, Status& status) {
  CLI::App* command = data.add_subcommand(
      "check",
      "Is every sample usable: conversation, pictures, labels?\n\n"
      "Examples:\n"
      "  mobilevlm data check annotations.json --images pictures --list unusable.txt\n"
      "  mobilevlm data check annotations.json --tokenizer tokenizer.model --max-tokens 2048");
  const auto flags = std::make_shared<CheckFlags>();
  AddDataFlags(*command, flags->data);
  command->add_flag("--no-pictures", flags->no_pictures, "Do not read the pictures");
  command->add_option("--tokenizer", flags->tokenizer,
                      "Make every sample's labels with this tokenizer.model or GGUF text file");
  command->add_option("--template", flags->chat_template, "v1 or plain, for the labels")
      ->capture_default_str();
  command->add_option("--max-tokens", flags->max_tokens, "Ids behind which a sample is cut (0: none)")
      ->check(WholeNumber(0))
      ->capture_default_str();
  command->add_option("--visual", flags->visual, "Places a picture takes")
      ->check(WholeNumber(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "Percent of unusable samples that are an error")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--list", flags->list,
                      "Write one line for every unusable sample (the first 100,000) to this file");
  command->callback([flags, &status] { status = RunCheck(*flags); });
}

}  // namespace mobilevlm::app
