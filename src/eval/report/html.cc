#include <algorithm>

#include "base/units.h"
#include "eval/report/html_parts.h"
#include "eval/report/published.h"
#include "eval/report/run_summary.h"

namespace mobilevlm::eval {
namespace {

std::string Cards(const ScoreSheet& sheet) {
  std::string html = "<div class=\"head\">";
  for (const Figure& figure : sheet.figures) {
    html += fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><span>95 %: {}, n {}</span></div>",
                        EscapeHtml(figure.name), FormatValue(figure), FormatInterval(figure), figure.count);
  }
  return html + "</div>\n";
}

std::string Published(const Report& report) {
  const std::string_view column = PublishedColumn(report.sheet.task);
  if (column.empty())
    return "<h2>Published results</h2><p>None of the sources has this benchmark: not published.</p>\n";
  const std::string why_not = WhyNotAmongPublished(report.sheet);
  std::string html =
      fmt::format("<h2>{} results ({})</h2>\n", why_not.empty() ? "Beside published" : "Published", column);
  if (!why_not.empty()) html += "<p>" + EscapeHtml(why_not) + "</p>\n";
  html += fmt::format("<table><tr><th>model</th><th class=\"n\">{}</th><th>source</th></tr>\n", column);
  if (why_not.empty() && !report.sheet.figures.empty()) {
    const Figure& own = report.sheet.figures[0];
    html += fmt::format(
        "<tr class=\"own\"><td>{}</td><td class=\"n\">{:.1f}</td><td>this run, {} questions</td></tr>\n",
        EscapeHtml(report.run.model), own.value, own.count);
  }
  for (const PublishedValue& value : PublishedFor(report.sheet.task)) {
    html += fmt::format("<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n", value.model,
                        value.value ? fmt::format("{:.1f}", *value.value) : "not published",
                        EscapeHtml(value.source));
  }
  return html + "</table>\n";
}

std::string RunFacts(const RunSummary& run) {
  std::vector<std::vector<std::string>> rows = {{"Run", ""}};
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) rows.push_back({name, EscapeHtml(value)});
  };
  row("model", run.model);
  row("files", run.files);
  row("machine", run.machine);
  row("data", run.data);
  if (run.total.count > 0) {
    row("time per question",
        fmt::format("mean {}, median {}, 90 % below {}", FormatMilliseconds(run.total.mean),
                    FormatMilliseconds(run.total.median), FormatMilliseconds(run.total.p90)));
    row("of which picture", FormatMilliseconds(run.image_ms));
    row("of which prompt", FormatMilliseconds(run.prompt_ms));
    row("of which decoding",
        fmt::format("{} for {:.1f} tokens", FormatMilliseconds(run.generate_ms), run.tokens));
  }
  if (run.questions_per_second > 0) {
    row("throughput",
        fmt::format("{:.3g} questions/s, {:.3g} images/s", run.questions_per_second, run.images_per_second));
  }
  if (run.peak_memory > 0) row("peak memory", FormatBytes(run.peak_memory));
  return "<h2>Latency and memory</h2>\n" + HtmlTable(rows);
}

std::string Gallery(const std::vector<GalleryItem>& items) {
  if (items.empty()) return "";
  std::string html = "<h2>Answers</h2>\n<div class=\"gallery\">\n";
  for (const GalleryItem& item : items) {
    html += fmt::format("<div class=\"item{}\">", item.score >= 0.5 ? " right" : "");
    if (!item.picture.empty()) html += fmt::format("<img alt=\"\" src=\"{}\">", item.picture);
    html += fmt::format(
        "<pre>{}</pre><div class=\"a\">{}</div><div class=\"t\">wanted: {}</div>", EscapeHtml(item.prompt),
        item.answer.empty() ? "<i>no answer</i>" : EscapeHtml(item.answer), EscapeHtml(item.references));
    if (item.reading != item.answer)
      html += fmt::format("<div class=\"t\">read as: {}</div>", EscapeHtml(item.reading));
    html += fmt::format("<div class=\"t\">{}, score {:.2g}</div></div>\n", EscapeHtml(item.id), item.score);
  }
  return html + "</div>\n";
}

}  // namespace

std::string ToHtml(const Report& report) {
  const ScoreSheet& sheet = report.sheet;
  std::string body = fmt::format("<h1>{}</h1><p class=\"sub\">{}</p>\n", EscapeHtml(report.title),
                                 EscapeHtml(sheet.variant));
  body += Cards(sheet);
  std::vector<std::string> notes = sheet.notes;
  if (sheet.missing > 0)
    notes.insert(notes.begin(), fmt::format("{} questions without an answer count as wrong", sheet.missing));
  if (!notes.empty()) {
    body += "<ul class=\"notes\">";
    for (const std::string& note : notes) body += "<li>" + EscapeHtml(note) + "</li>";
    body += "</ul>\n";
  }
  body += Published(report);
  for (const Breakdown& breakdown : sheet.breakdowns) {
    body += fmt::format("<h2>By {}</h2>\n", EscapeHtml(breakdown.dimension)) + BarChart(breakdown.figures);
  }
  body += RunFacts(report.run) + Gallery(report.gallery);
  return HtmlPage(report.title, body);
}

}  // namespace mobilevlm::eval
