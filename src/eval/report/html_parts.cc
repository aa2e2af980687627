#include "eval/report/html_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/metrics/python_text.h"
#include "eval/report/run_summary.h"

namespace mobilevlm::eval {
namespace {

constexpr std::string_view kStyle = R"(
:root{--ink:#1c2330;--soft:#5b6472;--line:#d9dee6;--fill:#f6f8fb;--bar:#3b6fb6;--good:#1f7a4d;--bad:#b3372f}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);margin:0 auto;padding:24px;max-width:1080px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}p.sub{color:var(--soft);margin:0 0 16px}
table{border-collapse:collapse;margin:8px 0;display:block;overflow-x:auto}
th,td{padding:5px 12px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.own td{font-weight:700;background:var(--fill)}
.head{display:flex;flex-wrap:wrap;gap:16px;margin:16px 0}
.card{border:1px solid var(--line);border-radius:8px;padding:12px 18px;background:var(--fill)}
.card b{display:block;font-size:28px}.card span{color:var(--soft);font-size:13px}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:14px}
.item{border:1px solid var(--line);border-left:4px solid var(--bad);border-radius:6px;padding:10px;font-size:13px;overflow-wrap:anywhere}
.item.right{border-left-color:var(--good)}.item img{max-width:100%;height:auto;display:block;margin-bottom:6px;border-radius:4px}
.item pre{white-space:pre-wrap;margin:0 0 6px;font:inherit}.item .a{font-weight:600}.item .t{color:var(--soft)}
ul.notes{color:var(--soft)}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
)";

}  // namespace

std::string EscapeHtml(std::string_view text) {
  return Replace(Replace(Replace(Replace(text, "&", "&amp;"), "<", "&lt;"), ">", "&gt;"), "\"", "&quot;");
}

std::string HtmlPage(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{}</title><style>{}</style></head>\n<body>\n{}</"
      "body></html>\n",
      EscapeHtml(title), kStyle, body);
}

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  // Cells of numbers stand to the right.
  const auto is_number = [](const std::string& cell) {
    return !cell.empty() && (cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9'));
  };
  std::string html = "<table>";
  for (size_t r = 0; r < rows.size(); ++r) {
    html += "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const bool number =
          r == 0 ? rows.size() > 1 && c < rows[1].size() && is_number(rows[1][c]) : is_number(rows[r][c]);
      html +=
          fmt::format("<{0}{1}>{2}</{0}>", r == 0 ? "th" : "td", number ? " class=\"n\"" : "", rows[r][c]);
    }
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

std::string BarChart(const std::vector<Figure>& figures) {
  constexpr double kLabel = 260, kWidth = 460, kValue = 190, kRow = 24;
  double most = figures.empty() || figures[0].unit == Unit::kPercent ? 100 : 200;
  for (const Figure& figure : figures)
    most = std::max(most, figure.interval ? figure.interval->high : figure.value);
  const auto x = [&](double value) { return kLabel + kWidth * std::clamp(value / most, 0.0, 1.0); };
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" width=\"100%\" style=\"max-width:{}px\" role=\"img\">",
      kLabel + kWidth + kValue, kRow * static_cast<double>(figures.size()) + 4, kLabel + kWidth + kValue);
  for (size_t i = 0; i < figures.size(); ++i) {
    const Figure& figure = figures[i];
    const double top = kRow * static_cast<double>(i) + 4, middle = top + 9;
    std::string name = figure.name;
    if (constexpr size_t kLongest = 38; CodePoints(name).size() > kLongest) {
      name = ToUtf8(CodePoints(name).substr(0, kLongest - 1)) + "\u2026";
    }
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", kLabel - 8, middle + 4,
                       EscapeHtml(name));
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"18\" fill=\"#eef1f6\"/>", kLabel, top,
                       kWidth);
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"18\" fill=\"#3b6fb6\"/>", kLabel,
                       top, x(figure.value) - kLabel);
    if (figure.interval) {
      svg += fmt::format(
          "<path d=\"M{0:.1f} {2}H{1:.1f}M{0:.1f} {3}v10M{1:.1f} {3}v10\" stroke=\"#1c2330\" "
          "stroke-width=\"1.5\" fill=\"none\"/>",
          x(figure.interval->low), x(figure.interval->high), middle, middle - 5);
    }
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{} (n {})</text>", kLabel + kWidth + 8, middle + 4,
                       FormatValue(figure), figure.count);
  }
  return svg + "</svg>\n";
}

}  // namespace mobilevlm::eval
