#include "base/units.h"
#include "eval/metrics/python_text.h"
#include "eval/report/published.h"
#include "eval/report/run_summary.h"

namespace mobilevlm::eval {
namespace {

// Inside a table cell.
std::string Cell(std::string_view text) { return Replace(Replace(text, "|", "\\|"), "\n", " "); }

std::string FigureTable(const std::vector<Figure>& figures, std::string_view head) {
  std::string text = fmt::format("| {} | value | 95 % interval | count |\n|---|---:|---|---:|\n", head);
  for (const Figure& figure : figures) {
    text += fmt::format("| {} | {} | {} | {} |\n", Cell(figure.name), FormatValue(figure),
                        FormatInterval(figure), figure.count);
  }
  return text + "\n";
}

std::string PublishedTable(const Report& report) {
  const std::string_view column = PublishedColumn(report.sheet.task);
  if (column.empty())
    return "## Published results\n\nNone of the sources has this benchmark: not published.\n\n";
  const std::string why_not = WhyNotAmongPublished(report.sheet);
  std::string text =
      fmt::format("## {} results ({})\n\n", why_not.empty() ? "Beside published" : "Published", column);
  if (!why_not.empty()) text += why_not + "\n\n";
  text += fmt::format("| model | {} | source |\n|---|---:|---|\n", column);
  if (why_not.empty() && !report.sheet.figures.empty()) {
    const Figure& own = report.sheet.figures[0];
    text += fmt::format("| **{}** | **{:.1f}** | this run, {} questions |\n", Cell(report.run.model),
                        own.value, own.count);
  }
  for (const PublishedValue& value : PublishedFor(report.sheet.task)) {
    text += fmt::format("| {} | {} | {} |\n", value.model,
                        value.value ? fmt::format("{:.1f}", *value.value) : "not published", value.source);
  }
  return text + "\n";
}

std::string RunTable(const RunSummary& run) {
  std::string text = "## Run\n\n| | |\n|---|---|\n";
  const auto row = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("| {} | {} |\n", name, Cell(value));
  };
  row("model", run.model);
  row("files", run.files);
  row("machine", run.machine);
  row("data", run.data);
  if (run.total.count > 0) {
    row("time per question",
        fmt::format("mean {}, median {}, 90 % below {} ({} questions)", FormatMilliseconds(run.total.mean),
                    FormatMilliseconds(run.total.median), FormatMilliseconds(run.total.p90),
                    run.total.count));
    row("of which, on average",
        fmt::format("picture {}, prompt {}, {:.1f} tokens {}", FormatMilliseconds(run.image_ms),
                    FormatMilliseconds(run.prompt_ms), run.tokens, FormatMilliseconds(run.generate_ms)));
  }
  if (run.questions_per_second > 0) {
    row("throughput",
        fmt::format("{:.3g} questions/s, {:.3g} images/s", run.questions_per_second, run.images_per_second));
  }
  if (run.peak_memory > 0) row("peak memory", FormatBytes(run.peak_memory));
  return text + "\n";
}

}  // namespace

std::string ToMarkdown(const Report& report) {
  std::string text = fmt::format("# {}{}\n\n", report.title,
                                 report.sheet.variant.empty() ? "" : ", " + report.sheet.variant);
  text += FigureTable(report.sheet.figures, "figure");
  if (report.sheet.missing > 0)
    text += fmt::format("{} questions without an answer count as wrong.\n\n", report.sheet.missing);
  for (const std::string& note : report.sheet.notes) text += fmt::format("- {}\n", note);
  if (!report.sheet.notes.empty()) text += "\n";
  text += PublishedTable(report);
  for (const Breakdown& breakdown : report.sheet.breakdowns) {
    text += fmt::format("## By {}\n\n", breakdown.dimension) +
            FigureTable(breakdown.figures, breakdown.dimension);
  }
  text += RunTable(report.run);
  return text;
}

}  // namespace mobilevlm::eval
