// mobilevlm data stats: what a training set consists of.
#include <fmt/format.h>

#include <memory>

#include "data_commands.h"
#include "page/page.h"
#include "quality/pages.h"

namespace mobilevlm::app {
namespace {

using Json = nlohmann::ordered_json;
using page::Thousands;
using quality::GroupStatistics;
using quality::Statistics;

constexpr size_t kPrintedGroups = 20;  // groups on the terminal

struct StatsFlags {
  DataFlags data;
  std::string html;
  int examples = 24;
};

void PrintGroups(const char* name, const std::vector<GroupStatistics>& groups, uint64_t samples) {
  fmt::print("\n{:<20} {:>12} {:>7} {:>12} {:>8} {:>8}  {}\n", name, "samples", "share", "questions", "words",
             "answer", "most frequent answer");
  for (size_t i = 0; i < std::min(groups.size(), kPrintedGroups); ++i) {
    const GroupStatistics& g = groups[i];
    std::string top;
    if (!g.top_answers.empty()) {
      std::string text = page::Shorten(g.top_answers.front().text, 30);
      std::replace(text.begin(), text.end(), '\n', ' ');
      top = fmt::format("{:.1f} % {}", 100 * g.top_share(), text);
    }
    fmt::print("{:<20} {:>12} {:>6.1f}% {:>12} {:>8} {:>8}  {}\n", g.name, Thousands(g.samples),
               100.0 * static_cast<double>(g.samples) / static_cast<double>(samples), Thousands(g.rounds),
               g.words.median, g.answer_words.median, top);
  }
  if (groups.size() > kPrintedGroups) fmt::print("and {} more\n", groups.size() - kPrintedGroups);
}

Json SpreadJson(const quality::Spread& spread) {
  return {{"median", spread.median}, {"p95", spread.p95}, {"most", spread.most}};
}

Json GroupsJson(const std::vector<GroupStatistics>& groups) {
  Json json = Json::array();
  for (const GroupStatistics& g : groups) {
    Json group = {{"name", g.name},
                  {"samples", g.samples},
                  {"questions", g.rounds},
                  {"pictures", g.pictures},
                  {"words", SpreadJson(g.words)},
                  {"answer_words", SpreadJson(g.answer_words)}};
    if (!g.top_answers.empty()) {
      group["distinct_answers"] = g.distinct_answers;
      group["top_answers"] = Json::array();
      for (const quality::CountedAnswer& answer : g.top_answers) {
        group["top_answers"].push_back({{"text", answer.text}, {"count", answer.count}});
      }
    }
    json.push_back(std::move(group));
  }
  return json;
}

Json ReportJson(const Statistics& s) {
  return {{"samples", s.samples},
          {"unusable", s.defects},
          {"text_only", s.text_only},
          {"several_pictures", s.several_pictures},
          {"questions", s.rounds},
          {"words", s.words},
          {"distinct_questions", s.distinct_questions},
          {"distinct_answers", s.distinct_answers},
          {"sources", GroupsJson(s.sources)},
          {"kinds", GroupsJson(s.kinds)}};
}

Status RunStats(const StatsFlags& flags) {
  MVLM_ASSIGN(const data::Dataset dataset,
              OpenDataset(flags.data.files, flags.data.images, flags.data.threads));
  MVLM_TRY(CheckOutputs({flags.html}, {&dataset}));
  MVLM_ASSIGN(std::optional<AtomicFile> html, CreateIfNamed(flags.html));
  DataWork work(flags.data);
  quality::StatisticsOptions options;
  options.examples = static_cast<size_t>(flags.examples);
  MVLM_ASSIGN(const Statistics s, quality::Describe(dataset, options, work.work()));
  if (flags.data.json) {
    PrintJson(ReportJson(s));
  } else {
    fmt::print(
        "{} samples, {} text only, {} with several pictures, {} unusable; {} questions, {} different; {} "
        "different answers; {} words\n",
        Thousands(s.samples), Thousands(s.text_only), Thousands(s.several_pictures), Thousands(s.defects),
        Thousands(s.rounds), Thousands(s.distinct_questions), Thousands(s.distinct_answers),
        Thousands(s.words));
    PrintGroups("source", s.sources, s.samples);
    PrintGroups("kind", s.kinds, s.samples);
  }
  if (!html) return {};
  MVLM_ASSIGN(const std::string page, quality::StatisticsPage(dataset, s, NamesOf(dataset)));
  MVLM_TRY(html->Write(page));
  return html->Commit();
}

}  // namespace

void AddDataStatsCommand(CLI::App& data, Status& status) {
  CLI::App* command = data.add_subcommand("stats",
                                          "Sources, kinds of question, lengths, balance of the answers\n\n"
                                          "Examples:\n"
                                          "  mobilevlm data stats annotations.json\n"
                                          "  mobilevlm data stats a.json b.json --html stats.html");
  const auto flags = std::make_shared<StatsFlags>();
  AddDataFlags(*command, flags->data);
  command->add_option("--html", flags->html, "Write a page with plots and samples");
  command->add_option("--samples", flags->examples, "Samples on the page")
      ->check(WholeNumber(0, 1000))
      ->capture_default_str();
  command->callback([flags, &status] { status = RunStats(*flags); });
}

}  // namespace mobilevlm::app
