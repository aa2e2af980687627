#include "quality/pages.h"

#include <algorithm>

#include "image/decode.h"
#include "page/charts.h"
#include "page/page.h"

namespace mobilevlm::quality {
namespace {

using page::Shorten;
using page::Thousands;

constexpr int kThumbnail = 160;    // pixels a side
constexpr size_t kMostRounds = 3;  // of a sample on the page
constexpr size_t kMostText = 400;  // characters of a question or an answer
constexpr size_t kMostBars = 16;
constexpr size_t kMostPairs = 24;

std::string Percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : std::string("-");
}

// The question without the marks of its pictures.
std::string Question(const Turn& turn) {
  std::string text = turn.user;
  for (size_t at = text.find(kImageMark); at != std::string::npos; at = text.find(kImageMark)) {
    text.erase(at, kImageMark.size() + (text.substr(at + kImageMark.size(), 1) == "\n" ? 1 : 0));
  }
  return text;
}

// One sample: its pictures, who asks what, a line of where it stands.
Result<std::string> SampleHtml(const data::Dataset& dataset, uint32_t s, const std::string& note = "") {
  data::SampleReader reader;
  MVLM_ASSIGN(const data::Sample sample, dataset.Read(s, reader));
  std::string html;
  for (const std::string& path : sample.images) {
    const auto picture = LoadImage(dataset.PicturePath(s, path));
    if (picture) {
      MVLM_ASSIGN(const std::string image, page::ImageHtml(*picture, kThumbnail, path));
      html += image;
    } else {
      html += fmt::format("<p class=\"bad\">{}</p>", page::EscapeHtml(picture.error().message));
    }
  }
  for (size_t i = 0; i < std::min(sample.turns.size(), kMostRounds); ++i) {
    html += fmt::format("<p class=\"q\">{}</p><p>{}</p>",
                        page::EscapeHtml(Shorten(Question(sample.turns[i]), kMostText)),
                        page::EscapeHtml(Shorten(sample.turns[i].assistant, kMostText)));
  }
  if (sample.turns.size() > kMostRounds) {
    html += fmt::format("<p class=\"q\">and {} more rounds</p>", sample.turns.size() - kMostRounds);
  }
  const auto [file, row] = dataset.PlaceOf(s);
  const data::IndexRow& index = dataset.files()[file].rows()[row];
  const std::string tag = fmt::format("{} \u00b7 {}{}{}", dataset.files()[file].kind_names()[index.kind],
                                      sample.id.empty() ? fmt::format("sample {}", row + 1) : sample.id,
                                      note.empty() ? "" : " \u00b7 ", note);
  return html + fmt::format("<p class=\"tag\">{}</p>", page::EscapeHtml(tag));
}

Result<std::string> PairsHtml(const data::Dataset& left, const data::Dataset& right,
                              const std::vector<std::pair<uint32_t, uint32_t>>& pairs,
                              const std::vector<std::string>& notes = {}) {
  std::string html = "<div class=\"cards pairs\">\n";
  for (size_t i = 0; i < std::min(pairs.size(), kMostPairs); ++i) {
    MVLM_ASSIGN(const std::string a, SampleHtml(left, pairs[i].first));
    MVLM_ASSIGN(const std::string b, SampleHtml(right, pairs[i].second));
    html += fmt::format(
        "<div class=\"card\">{}<div class=\"pair\"><div>{}</div><div>{}</div></div></div>\n",
        i < notes.size() ? fmt::format("<p class=\"tag\">{}</p>", page::EscapeHtml(notes[i])) : "", a, b);
  }
  return html + "</div>\n";
}

// Groups as bars, the small ones together.
std::string GroupBars(const std::string& title, const std::vector<GroupStatistics>& groups,
                      uint64_t samples) {
  page::BarChart chart{.title = title, .series = {}, .bars = {}};
  uint64_t rest = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i >= kMostBars) {
      rest += groups[i].samples;
      continue;
    }
    const auto count = static_cast<double>(groups[i].samples);
    chart.bars.push_back({groups[i].name, {count}, Percent(count, static_cast<double>(samples))});
  }
  if (rest > 0) {
    const auto count = static_cast<double>(rest);
    chart.bars.push_back({fmt::format("{} others", groups.size() - kMostBars),
                          {count},
                          Percent(count, static_cast<double>(samples))});
  }
  return page::BarChartHtml(chart);
}

// What each source asks: shares of the most frequent kinds.
std::string KindsOfSources(const Statistics& statistics) {
  constexpr size_t kSeries = 9;
  page::BarChart chart{.title = "Kinds of question in each source", .series = {}, .bars = {}};
  const size_t kinds = std::min(statistics.kinds.size(), kSeries);
  for (size_t k = 0; k < kinds; ++k) chart.series.push_back(statistics.kinds[k].name);
  if (kinds < statistics.kinds.size()) chart.series.push_back("others");
  for (size_t s = 0; s < std::min(statistics.sources.size(), kMostBars); ++s) {
    page::BarChart::Bar bar{statistics.sources[s].name, std::vector<double>(chart.series.size(), 0), ""};
    const auto all = static_cast<double>(statistics.sources[s].samples);
    for (size_t k = 0; k < statistics.kinds.size(); ++k) {
      bar.parts[std::min(k, kSeries)] += static_cast<double>(statistics.source_kinds[s][k]) / all;
    }
    chart.bars.push_back(std::move(bar));
  }
  return page::BarChartHtml(chart);
}

std::string LengthHistogram(const std::string& title, const Statistics& statistics,
                            const std::vector<std::pair<std::string, const std::vector<uint64_t>*>>& series) {
  page::Histogram histogram{.title = title, .x_label = "words, up to", .bins = statistics.bins, .series = {}};
  for (const auto& [name, counts] : series) {
    if (std::all_of(counts->begin(), counts->end(), [](uint64_t count) { return count == 0; })) continue;
    histogram.series.push_back({name, std::vector<double>(counts->begin(), counts->end())});
  }
  return page::HistogramHtml(histogram);
}

std::string GroupTable(const std::vector<GroupStatistics>& groups, const char* name, uint64_t samples) {
  std::vector<std::vector<std::string>> rows = {
      {name, "samples", "share", "rounds", "pictures", "words: median", "95 %", "answer: median", "95 %"}};
  for (const GroupStatistics& group : groups) {
    rows.push_back({group.name, Thousands(group.samples),
                    Percent(static_cast<double>(group.samples), static_cast<double>(samples)),
                    Thousands(group.rounds), Thousands(group.pictures), Thousands(group.words.median),
                    Thousands(group.words.p95), Thousands(group.answer_words.median),
                    Thousands(group.answer_words.p95)});
  }
  return page::TableHtml(rows);
}

// What is answered most, and how often: what a model reaches that never looks.
std::string BalanceTable(const std::vector<GroupStatistics>& kinds) {
  std::vector<std::vector<std::string>> rows = {
      {"kind", "most frequent answers", "first one's share", "different answers"}};
  for (const GroupStatistics& kind : kinds) {
    std::string answers;
    for (const CountedAnswer& answer : kind.top_answers) {
      std::string text = Shorten(answer.text, 40);
      std::replace(text.begin(), text.end(), '\n', ' ');
      answers += fmt::format("{}{} {}", answers.empty() ? "" : ", ", text,
                             Percent(static_cast<double>(answer.count), static_cast<double>(kind.rounds)));
    }
    rows.push_back({kind.name, answers, fmt::format("{:.1f} %", 100 * kind.top_share()),
                    Thousands(kind.distinct_answers)});
  }
  return page::TableHtml(rows, 2);
}

}  // namespace

Result<std::string> StatisticsPage(const data::Dataset& dataset, const Statistics& s,
                                   const std::string& title) {
  std::string body = page::FactsHtml({{Thousands(s.samples), "samples"},
                                      {Thousands(s.text_only), "text only"},
                                      {Thousands(s.several_pictures), "with several pictures"},
                                      {Thousands(s.rounds), "questions"},
                                      {Thousands(s.distinct_questions), "different questions"},
                                      {Thousands(s.distinct_answers), "different answers"},
                                      {Thousands(s.words), "words"},
                                      {Thousands(s.defects), "unusable"}});
  const uint64_t usable = s.samples - s.defects;
  body += "<div class=\"charts\">\n" + GroupBars("Sources", s.sources, usable) +
          GroupBars("Kinds of question", s.kinds, usable) + KindsOfSources(s) +
          LengthHistogram("Length of a conversation", s,
                          {{"with pictures", &s.words_with_picture}, {"text only", &s.words_text_only}}) +
          LengthHistogram("Length of the answers", s, {{"answers", &s.answer_words}}) + "</div>\n";
  body += "<h2>Sources</h2>\n" + GroupTable(s.sources, "source", usable);
  body += "<h2>Kinds of question</h2>\n" + GroupTable(s.kinds, "kind", usable);
  body +=
      "<h2>Balance of the answers</h2>\n<p class=\"note\">A model that never looks at the picture and gives "
      "the most frequent answer is right as often as the third column says.</p>\n" +
      BalanceTable(s.kinds);
  body += "<h2>Samples</h2>\n<div class=\"cards\">\n";
  for (const uint32_t sample : s.examples) {
    MVLM_ASSIGN(const std::string card, SampleHtml(dataset, sample));
    body += "<div class=\"card\">" + card + "</div>\n";
  }
  body += "</div>\n";
  return page::PageHtml("Training data", title, body);
}

namespace {

Result<std::string> PairSection(const data::Dataset& dataset, const std::string& heading,
                                const std::string& note, const std::vector<DuplicateReport::Pair>& found) {
  if (found.empty()) return std::string();
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  for (const DuplicateReport::Pair& pair : found) pairs.emplace_back(pair.first, pair.second);
  MVLM_ASSIGN(const std::string html, PairsHtml(dataset, dataset, pairs));
  return fmt::format("<h2>{}</h2>\n<p class=\"note\">{}</p>\n{}", heading, note, html);
}

}  // namespace

Result<std::string> DuplicatesPage(const data::Dataset& dataset, const DuplicateReport& r,
                                   const std::string& title) {
  const uint64_t kept = dataset.size() - r.exact - r.near;
  std::string body = page::FactsHtml({{Thousands(dataset.size()), "samples"},
                                      {Thousands(kept), "stay"},
                                      {Thousands(r.exact), "exact duplicates"},
                                      {Thousands(r.near), "near duplicates"},
                                      {Thousands(r.conflicts), "conflicts"},
                                      {Thousands(r.pictures), "picture files"},
                                      {Thousands(r.same_pictures), "with the pixels of another"},
                                      {Thousands(r.near_pictures), "looking like another"},
                                      {Thousands(r.repeated_answers), "repeated long answers"}});
  page::BarChart bars{.title = "Samples", .series = {}, .bars = {}};
  for (const auto& [name, count] : {std::pair<const char*, uint64_t>{"stay", kept},
                                    {"exact duplicates", r.exact},
                                    {"near duplicates", r.near}}) {
    bars.bars.push_back({name,
                         {static_cast<double>(count)},
                         Percent(static_cast<double>(count), static_cast<double>(dataset.size()))});
  }
  body += "<div class=\"charts\">" + page::BarChartHtml(bars) + "</div>\n";
  MVLM_ASSIGN(
      const std::string near,
      PairSection(
          dataset, "Near duplicates",
          "Pictures that look the same, the same question, nearly the same answer. The left one stays.",
          r.near_pairs));
  MVLM_ASSIGN(const std::string conflicts,
              PairSection(dataset, "Conflicts", "The same picture and question, another answer. Both stay.",
                          r.conflict_pairs));
  MVLM_ASSIGN(const std::string repeated,
              PairSection(dataset, "Repeated answers",
                          "Long answers that stand nearly word for word under another sample. Both stay.",
                          r.repeated_pairs));
  return page::PageHtml("Duplicates", title, body + near + conflicts + repeated);
}

namespace {

std::string UnreadHtml(const char* samples, const CatalogReport& r) {
  if (r.bad.empty()) return "";
  return fmt::format(
      "<p class=\"bad\">{} {} with a picture that cannot be read and was not compared: {}</p>\n",
      Thousands(r.bad_samples), samples, page::EscapeHtml(r.bad.front().reason));
}

}  // namespace

Result<std::string> LeaksPage(const data::Dataset& training, const data::Dataset& evaluation,
                              const LeakReport& r, const std::string& title) {
  std::string body = page::FactsHtml({{Thousands(training.size()), "training samples"},
                                      {Thousands(r.pictures()), "of them show an evaluation picture"},
                                      {Thousands(r.evaluation_samples), "evaluation samples"},
                                      {Thousands(r.evaluation_hit), "of them met"}});
  body += UnreadHtml("evaluation samples", r.evaluation_pictures) +
          UnreadHtml("training samples", r.training_pictures);
  page::BarChart bars{
      .title = "Training samples that share something with the evaluation", .series = {}, .bars = {}};
  for (size_t leak = static_cast<size_t>(Leak::kCount) - 1; leak > 0; --leak) {
    const uint64_t count = r.counts[leak];
    bars.bars.push_back(
        {std::string(LeakName(static_cast<Leak>(leak))), {static_cast<double>(count)}, Thousands(count)});
  }
  body += "<div class=\"charts\">" + page::BarChartHtml(bars) + "</div>\n";
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  std::vector<std::string> notes;
  for (const uint32_t s : r.shown) {
    pairs.emplace_back(s, r.evaluation[s]);
    notes.emplace_back(LeakName(r.leaks[s]));
  }
  if (!pairs.empty()) {
    MVLM_ASSIGN(const std::string html, PairsHtml(training, evaluation, pairs, notes));
    body +=
        "<h2>Pairs</h2>\n<p class=\"note\">Left the training sample, right the evaluation's.</p>\n" + html;
  }
  return page::PageHtml("Contamination", title, body);
}

}  // namespace mobilevlm::quality
