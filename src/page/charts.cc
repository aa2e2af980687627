#include "page/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "page/page.h"

namespace mobilevlm::page {
namespace {

constexpr double kWidth = 340;
constexpr double kGlyph = 6.6;  // about the width of a character
constexpr size_t kColours = 10;

std::string Rectangle(double x, double y, double width, double height, size_t colour, double opacity = 1) {
  return fmt::format(
      "<rect class=\"c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"1\" "
      "fill-opacity=\"{:g}\"/>\n",
      colour % kColours, x, y, std::max(width, 0.0), std::max(height, 0.0), opacity);
}

std::string Label(double x, double y, const char* anchor, const std::string& text, const char* style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>\n", x, y,
                     anchor, style, EscapeHtml(text));
}

std::string Line(double x1, double y1, double x2, double y2) {
  return fmt::format("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1,
                     y1, x2, y2);
}

std::string Legend(const std::vector<std::string>& names) {
  if (names.size() < 2) return "";
  std::string out = "<div class=\"legend\">";
  for (size_t i = 0; i < names.size(); ++i) {
    out += fmt::format("<span class=\"c{}\">\u25A0 {}</span>", i % kColours, EscapeHtml(names[i]));
  }
  return out + "</div>";
}

std::string Figure(const std::string& title, double height, const std::string& content,
                   const std::string& legend) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1:.0f} {2:.0f}\" role=\"img\" "
      "aria-label=\"{0}\">\n{3}</svg>{4}</figure>\n",
      EscapeHtml(title), kWidth, height, content, legend);
}

// 1, 2 or 5 times a power of ten, so that about `count` of them make `range`.
double TickStep(double range, int count) {
  const double rough = std::max(range, 1e-9) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

std::string ShortNumber(double value) {
  if (value >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

}  // namespace

std::string BarChartHtml(const BarChart& chart) {
  constexpr double kRow = 20;
  constexpr size_t kLongestLabel = 20;
  size_t label_size = 0, value_size = 0;
  double most = 0;
  for (const BarChart::Bar& bar : chart.bars) {
    label_size = std::max(label_size, std::min(bar.label.size(), kLongestLabel));
    value_size = std::max(value_size, bar.value.size());
    most = std::max(most, std::accumulate(bar.parts.begin(), bar.parts.end(), 0.0));
  }
  const double left = 8 + kGlyph * static_cast<double>(label_size);
  const double right = kWidth - 8 - kGlyph * static_cast<double>(value_size);
  std::string svg;
  double y = 2;
  for (const BarChart::Bar& bar : chart.bars) {
    svg += Label(left - 4, y + 13, "end", Shorten(bar.label, kLongestLabel), "ink");
    double x = left;
    for (size_t i = 0; i < bar.parts.size(); ++i) {
      const double width = most > 0 ? (right - left) * bar.parts[i] / most : 0;
      svg += Rectangle(x, y + 3, width, kRow - 7, i);
      x += width;
    }
    svg += Label(x + 4, y + 13, "start", bar.value);
    y += kRow;
  }
  return Figure(chart.title, y + 2, svg, Legend(chart.series));
}

std::string HistogramHtml(const Histogram& histogram) {
  constexpr double kLeft = 40, kTop = 6, kBottom = 150, kRight = kWidth - 4;
  double most = 1;
  std::vector<std::string> names;
  for (const Histogram::Series& series : histogram.series) {
    names.push_back(series.name);
    for (const double count : series.counts) most = std::max(most, count);
  }
  std::string svg;
  const double step = TickStep(most, 4);
  for (double tick = 0; tick <= most; tick += step) {
    const double y = kBottom - (kBottom - kTop) * tick / most;
    svg += Line(kLeft, y, kRight, y) + Label(kLeft - 4, y + 4, "end", ShortNumber(tick));
  }
  const size_t bins = std::max<size_t>(histogram.bins.size(), 1);
  const double pitch = (kRight - kLeft) / static_cast<double>(bins);
  for (size_t s = 0; s < histogram.series.size(); ++s) {
    for (size_t b = 0; b < histogram.series[s].counts.size(); ++b) {
      const double height = (kBottom - kTop) * histogram.series[s].counts[b] / most;
      svg += Rectangle(kLeft + pitch * static_cast<double>(b) + 1, kBottom - height, pitch - 2, height, s,
                       histogram.series.size() > 1 ? 0.7 : 1);
    }
  }
  size_t longest = 1;
  for (const std::string& bin : histogram.bins) longest = std::max(longest, bin.size());
  const auto every = static_cast<size_t>(std::ceil(kGlyph * static_cast<double>(longest + 1) / pitch));
  for (size_t b = 0; b < histogram.bins.size(); b += every) {
    svg += Label(kLeft + pitch * (static_cast<double>(b) + 0.5), kBottom + 14, "middle", histogram.bins[b]);
  }
  svg += Label((kLeft + kRight) / 2, kBottom + 30, "middle", histogram.x_label);
  return Figure(histogram.title, kBottom + 36, svg, Legend(names));
}

}  // namespace mobilevlm::page
