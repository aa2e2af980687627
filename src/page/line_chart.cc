#include "page/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "page/page.h"

namespace mobilevlm::page {
namespace {

// The drawing's units; the page scales it to its column, on a phone to about 330 pixels.
constexpr double kWidth = 340, kHeight = 200, kRight = 10, kTop = 8, kBottom = 24;
constexpr double kGlyph = 7;  // about the width of a digit
constexpr size_t kColours = 10;
constexpr size_t kMostPoints = 600;  // per line: more cannot be seen

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();

  void Add(double value) { low = std::min(low, value), high = std::max(high, value); }
  bool empty() const { return low > high; }
  void Widen() {
    if (empty() || (low == 0 && high == 0)) low = 0, high = 1;
    if (low == high) low -= std::abs(low) * 0.1 + 1e-9, high += std::abs(high) * 0.1 + 1e-9;
  }
};

// Multiples of 1, 2 or 5 times a power of ten, at least `least` apart.
std::vector<double> Ticks(const Range& range, double least = 0) {
  constexpr int kMost = 6;
  const double raw = (range.high - range.low) / kMost, power = std::pow(10.0, std::floor(std::log10(raw)));
  const double step = std::max(least, power * (raw / power <= 1   ? 1
                                               : raw / power <= 2 ? 2
                                               : raw / power <= 5 ? 5
                                                                  : 10));
  std::vector<double> ticks;
  for (double i = std::ceil(range.low / step - 1e-9); i * step <= range.high + 1e-9 * step; ++i) {
    ticks.push_back(i * step);
  }
  return ticks;
}

// The same for a range of decimal logarithms: 1, 2, 5, 10, ... where it spans enough, else as above.
std::vector<double> LogTicks(const Range& range) {
  std::vector<double> ticks;
  for (double decade = std::floor(range.low); decade <= range.high; ++decade) {
    for (const double digit : {0.0, std::log10(2.0), std::log10(5.0)}) {
      const double tick = decade + digit;
      const bool crowded = range.high - range.low > 3 && digit != 0.0;
      if (tick >= range.low && tick <= range.high && !crowded) ticks.push_back(tick);
    }
  }
  if (ticks.size() >= 3) return ticks;
  ticks.clear();
  for (const double value : Ticks({std::pow(10.0, range.low), std::pow(10.0, range.high)})) {
    ticks.push_back(std::log10(value));
  }
  return ticks;
}

std::string Number(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e3) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", size < 1e-12 ? 0.0 : value);
}

class Plotter {
 public:
  explicit Plotter(const LineChart& chart) : chart_(chart) {
    for (const Curve& series : chart.series) {
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (!Drawn(series.y[i])) continue;
        x_.Add(series.x[i]);
        y_.Add(Scaled(series.y[i]));
      }
    }
    if (chart.from_zero && !chart.log_y) y_.Add(0);
    x_.Widen();
    y_.Widen();
    for (const double tick : chart.log_y ? LogTicks(y_) : Ticks(y_)) {
      y_labels_.emplace_back(tick, Number(chart.log_y ? std::pow(10.0, tick) : tick));
      left_ = std::max(left_, 10 + TextWidth(y_labels_.back().second));
    }
  }

  std::string Axes() const {
    std::string svg;
    for (const auto& [tick, label] : y_labels_) {
      svg += fmt::format(
          "<line class=grid x1={0:.1f} x2={1:.1f} y1={2:.1f} y2={2:.1f} />"
          "<text x={3:.1f} y={4:.1f} text-anchor=end>{5}</text>",
          left_, kWidth - kRight, Y(tick), left_ - 5, Y(tick) + 4, label);
    }
    for (const double tick : Ticks(x_, 1)) {
      const std::string label = Number(tick);
      const double middle = std::min(X(tick), kWidth - TextWidth(label) / 2);  // whole at the right edge
      svg += fmt::format("<text x={:.1f} y={:.1f} text-anchor=middle>{}</text>", middle, kHeight - 7, label);
    }
    return svg;
  }

  std::string Line(const Curve& series, size_t colour) const {
    std::string points;
    size_t drawn = 0;
    const size_t stride = std::max<size_t>(1, series.x.size() / kMostPoints);
    for (size_t i = 0; i < series.x.size(); i += (i + stride < series.x.size() ? stride : 1)) {
      if (!Drawn(series.y[i])) continue;
      points += fmt::format("{:.1f},{:.1f} ", X(series.x[i]), Y(Scaled(series.y[i])));
      ++drawn;
    }
    if (drawn == 0) return "";
    const std::string tag = drawn > 1 ? "polyline" : "circle";
    if (drawn > 1) return fmt::format("<polyline class=c{} points=\"{}\" />", colour % kColours, points);
    const size_t comma = points.find(',');
    return fmt::format("<circle class=c{} cx={} cy={} r=2.5 />", colour % kColours, points.substr(0, comma),
                       points.substr(comma + 1, points.size() - comma - 2));
  }

 private:
  static double TextWidth(const std::string& text) { return kGlyph * static_cast<double>(text.size()); }
  bool Drawn(double y) const { return std::isfinite(y) && (!chart_.log_y || y > 0); }
  double Scaled(double y) const { return chart_.log_y ? std::log10(y) : y; }
  double X(double x) const { return left_ + (x - x_.low) / (x_.high - x_.low) * (kWidth - left_ - kRight); }
  double Y(double y) const {
    return kHeight - kBottom - (y - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  const LineChart& chart_;
  Range x_, y_;
  std::vector<std::pair<double, std::string>> y_labels_;  // ticks, scaled
  double left_ = 0;                                       // where the axis begins, behind them
};

}  // namespace

std::string LineChartHtml(const LineChart& chart) {
  const Plotter plotter(chart);
  std::string html = fmt::format(
      "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {:.0f} {:.0f}\" role=img aria-label=\"{}\">{}",
      EscapeHtml(chart.title), kWidth, kHeight, EscapeHtml(chart.title), plotter.Axes());
  std::string legend;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    html += plotter.Line(chart.series[i], i);
    if (chart.series.size() < 2 || chart.series[i].y.empty()) continue;
    legend += fmt::format("<span class=c{}>{} <b>{}</b></span>", i % kColours,
                          EscapeHtml(chart.series[i].name), Number(chart.series[i].y.back()));
  }
  html += "</svg>";
  if (!legend.empty()) html += fmt::format("<div class=legend>{}</div>", legend);
  return html + "</figure>\n";
}

}  // namespace mobilevlm::page
