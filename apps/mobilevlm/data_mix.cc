// mobilevlm data mix: one annotation file out of several.
#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "data_commands.h"
#include "page/page.h"
#include "quality/mix.h"

namespace mobilevlm::app {
namespace {

using page::Thousands;
using quality::MixReport;

struct MixFlags {
  DataFlags data;
  std::string out;
  quality::MixOptions options;
  std::vector<std::string> source_weights, kind_weights;
  bool keep_order = false;
};

Result<std::map<std::string, double>> ParseWeights(const char* flag, const std::vector<std::string>& texts) {
  std::map<std::string, double> weights;
  for (const std::string& text : texts) {
    const size_t equals = text.rfind('=');
    double weight = 0;
    const char* end = text.data() + text.size();
    const auto parsed = equals == std::string::npos ? std::from_chars_result{end, std::errc::invalid_argument}
                                                    : std::from_chars(text.data() + equals + 1, end, weight);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return Fail("{}: wanted NAME=NUMBER, found {}", flag, text);
    }
    weights[text.substr(0, equals)] = weight;
  }
  return weights;
}

void PrintGroups(const char* name, const std::map<std::string, uint64_t>& groups, uint64_t all) {
  fmt::print("\n{:<20} {:>12} {:>7}\n", name, "samples", "share");
  for (const auto& [group, count] : groups) {
    fmt::print("{:<20} {:>12} {:>6.1f}%\n", group, Thousands(count),
               100.0 * static_cast<double>(count) / static_cast<double>(all));
  }
}

Status RunMix(const MixFlags& flags) {
  quality::MixOptions options = flags.options;
  options.shuffle = !flags.keep_order;
  MVLM_ASSIGN(options.source_weights, ParseWeights("--source", flags.source_weights));
  MVLM_ASSIGN(options.kind_weights, ParseWeights("--kind", flags.kind_weights));
  MVLM_ASSIGN(const data::Dataset dataset,
              OpenDataset(flags.data.files, flags.data.images, flags.data.threads));
  DataWork work(flags.data);
  MVLM_ASSIGN(const MixReport r, quality::Mix(dataset, options, flags.out, work.work()));
  if (flags.data.json) {
    PrintJson({{"read", r.read},
               {"written", r.written},
               {"unusable", r.defects},
               {"left_out_by_length", r.by_length},
               {"left_out_by_answer", r.by_answer},
               {"sources", r.sources},
               {"kinds", r.kinds}});
    return {};
  }
  fmt::print("{}: {} samples of {} read; left out: {} unusable, {} by their length, {} by their answer\n",
             flags.out, Thousands(r.written), Thousands(r.read), Thousands(r.defects), Thousands(r.by_length),
             Thousands(r.by_answer));
  PrintGroups("source", r.sources, r.written);
  PrintGroups("kind", r.kinds, r.written);
  return {};
}

}  // namespace

void AddDataMixCommand(CLI::App& data, Status& status) {
  CLI::App* command = data.add_subcommand(
      "mix",
      "Write one annotation file out of several: weighted, filtered, balanced\n\n"
      "Examples:\n"
      "  mobilevlm data mix a.json b.json=0.5 -o mix.json\n"
      "  mobilevlm data mix all.json -o small.json --kind 'yes or no=0.3' --source sam=0 --limit 100000\n"
      "  mobilevlm data mix all.json -o balanced.json --max-same-answer 2000\n\n"
      "A weight of 2 takes every sample twice, 0.5 every other; weights of file, source and kind multiply.\n"
      "`mobilevlm data stats` lists sources and kinds. The same seed writes the same file.");
  const auto flags = std::make_shared<MixFlags>();
  AddDataFlags(*command, flags->data);
  command->add_option("-o,--out", flags->out, "The new annotation file")->required();
  command->add_option("--source", flags->source_weights, "NAME=WEIGHT of a source");
  command->add_option("--kind", flags->kind_weights, "NAME=WEIGHT of a kind of question");
  command->add_option("--min-answer-words", flags->options.least_answer_words, "Leave out shorter answers")
      ->check(WholeNumber(0));
  command->add_option("--max-words", flags->options.most_words, "Leave out longer conversations (0: none)")
      ->check(WholeNumber(0));
  command
      ->add_option("--max-same-answer", flags->options.most_same_answer,
                   "At most so many samples of a kind with the same answer (0: no limit)")
      ->check(WholeNumber(0, kLargestU64));
  command->add_option("--limit", flags->options.limit, "At most so many samples (0: all)")
      ->check(WholeNumber(0, kLargestU64));
  command->add_option("--seed", flags->options.seed, "Of the choice and the order")
      ->check(WholeNumber(0, kLargestU64))
      ->capture_default_str();
  command->add_flag("--keep-order", flags->keep_order, "Do not shuffle");
  command->callback([flags, &status] { status = RunMix(*flags); });
}

}  // namespace mobilevlm::app
