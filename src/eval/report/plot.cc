#include "eval/report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "eval/report/html_parts.h"

namespace mobilevlm::eval {
namespace {

constexpr double kWidth = 900, kHeight = 430;
constexpr double kLeft = 70, kRight = 20, kTop = 70, kBottom = 70;
constexpr double kInnerWidth = kWidth - kLeft - kRight, kInnerHeight = kHeight - kTop - kBottom;
constexpr std::array<const char*, 7> kColours = {"#3b6fb6", "#d9822b", "#3a8f5c", "#b3372f",
                                                 "#7a56a8", "#7f8794", "#c9a227"};

const char* ColourOf(size_t series) { return kColours[series % kColours.size()]; }

// 1, 2 or 5 times a power of ten, so that about five steps reach `most`.
double NiceStep(double most) {
  const double rough = std::max(most, 1e-9) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

class Canvas {
 public:
  Canvas(const PlotAxes& axes, double x_most, double y_most) : x_most_(x_most), y_most_(y_most) {
    svg_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"DejaVu Sans,Arial,sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"#fff\"/>\n",
        kWidth, kHeight);
    Text(kLeft, 22, axes.title, "start", 15);
    Text(kLeft + kInnerWidth / 2, kHeight - 10, axes.x_label, "middle");
    svg_ += fmt::format(
        "<text x=\"18\" y=\"{0}\" transform=\"rotate(-90 18 {0})\" text-anchor=\"middle\">{1}</text>\n",
        kTop + kInnerHeight / 2, EscapeHtml(axes.y_label));
    const double step = NiceStep(y_most);
    for (double tick = 0; tick <= y_most * 1.0001; tick += step) {
      svg_ += fmt::format("<path d=\"M{} {:.1f}h{}\" stroke=\"#e3e7ee\"/>\n", kLeft, Y(tick), kInnerWidth);
      Text(kLeft - 8, Y(tick) + 4, fmt::format("{:.4g}", tick), "end");
    }
    if (axes.guide)
      svg_ += fmt::format("<path d=\"M{} {:.1f}h{}\" stroke=\"#555\" stroke-dasharray=\"5 4\"/>\n", kLeft,
                          Y(*axes.guide), kInnerWidth);
  }

  double X(double value) const { return kLeft + kInnerWidth * value / x_most_; }
  double Y(double value) const { return kTop + kInnerHeight * (1 - std::clamp(value / y_most_, 0.0, 1.0)); }

  void Text(double x, double y, const std::string& text, const char* anchor, int size = 12) {
    svg_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\">{}</text>\n", x,
                        y, anchor, size, EscapeHtml(text));
  }
  void Box(double left, double from, double to, double width, const char* colour) {
    svg_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n",
                        left, Y(to), width, std::max(0.0, Y(from) - Y(to)), colour);
  }
  void Whisker(double x, const Interval& interval) {
    svg_ += fmt::format(
        "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}h6M{3:.1f} {2:.1f}h6\" stroke=\"#222\" "
        "fill=\"none\"/>\n",
        x, Y(interval.low), Y(interval.high), x - 3);
  }
  void Raw(const std::string& svg) { svg_ += svg; }

  void Legend(const std::vector<PlotSeries>& series) {
    double x = kLeft;
    for (size_t i = 0; i < series.size(); ++i) {
      svg_ += fmt::format("<rect x=\"{:.1f}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", x,
                          ColourOf(i));
      Text(x + 17, 46, series[i].name, "start");
      x += 34 + 7.2 * static_cast<double>(series[i].name.size());
    }
  }
  // Long names stand aslant.
  void Categories(const std::vector<std::string>& names) {
    const double slot = kInnerWidth / static_cast<double>(names.size());
    const bool aslant = std::any_of(names.begin(), names.end(), [&](const std::string& n) {
      return 7.2 * static_cast<double>(n.size()) > slot;
    });
    for (size_t i = 0; i < names.size(); ++i) {
      const double x = kLeft + slot * (static_cast<double>(i) + 0.5), y = kTop + kInnerHeight + 16;
      if (aslant) {
        svg_ += fmt::format(
            "<text x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"end\" transform=\"rotate(-28 {0:.1f} "
            "{1:.1f})\">{2}</text>\n",
            x, y, EscapeHtml(names[i]));
      } else {
        Text(x, y, names[i], "middle");
      }
    }
  }

  std::string Finish() { return svg_ + "</svg>\n"; }

 private:
  double x_most_, y_most_;
  std::string svg_;
};

double Most(const std::vector<PlotSeries>& series) {
  double most = 0;
  for (const PlotSeries& s : series) {
    for (const PlotValue& v : s.values) most = std::max(most, v.interval ? v.interval->high : v.value);
  }
  return most > 0 ? most * 1.05 : 1;
}

// Where the labels of points go so that none lies over another.
class Labels {
 public:
  // The baseline for a text that begins at x, beside a point at y: above the point, below it, or farther off.
  double Place(double x, double y, const std::string& text) {
    constexpr double kHeightOfText = 14, kWidthOfLetter = 7;
    const double end = x + kWidthOfLetter * static_cast<double>(text.size());
    for (const double offset : {-7.0, 17.0, -22.0, 32.0, -37.0, 47.0}) {
      const auto over = [&](const Placed& other) {
        return x < other.end && other.begin < end && std::fabs(y + offset - other.y) < kHeightOfText;
      };
      if (std::any_of(placed_.begin(), placed_.end(), over)) continue;
      placed_.push_back({x, end, y + offset});
      return y + offset;
    }
    return y - 7;
  }

 private:
  struct Placed {
    double begin, end, y;
  };
  std::vector<Placed> placed_;
};

}  // namespace

std::string BarPlot(const PlotAxes& axes, const std::vector<std::string>& categories,
                    const std::vector<PlotSeries>& series) {
  Canvas canvas(axes, 1, axes.y_most.value_or(Most(series)));
  canvas.Legend(series);
  canvas.Categories(categories);
  const double slot = kInnerWidth / static_cast<double>(categories.size());
  const double bar = slot * 0.8 / static_cast<double>(series.size());
  for (size_t s = 0; s < series.size(); ++s) {
    for (size_t c = 0; c < categories.size() && c < series[s].values.size(); ++c) {
      const PlotValue& value = series[s].values[c];
      const double left = kLeft + slot * (static_cast<double>(c) + 0.1) + bar * static_cast<double>(s);
      canvas.Box(left, 0, value.value, bar * 0.92, ColourOf(s));
      if (value.interval) canvas.Whisker(left + bar * 0.46, *value.interval);
    }
  }
  return canvas.Finish();
}

std::string StackedPlot(const PlotAxes& axes, const std::vector<std::string>& categories,
                        const std::vector<PlotSeries>& series) {
  std::vector<double> totals(categories.size(), 0);
  for (const PlotSeries& s : series) {
    for (size_t c = 0; c < categories.size(); ++c) totals[c] += s.values[c].value;
  }
  Canvas canvas(axes, 1,
                axes.y_most.value_or(1.05 * std::max(1e-9, *std::max_element(totals.begin(), totals.end()))));
  canvas.Legend(series);
  canvas.Categories(categories);
  const double slot = kInnerWidth / static_cast<double>(categories.size());
  for (size_t c = 0; c < categories.size(); ++c) {
    double below = 0;
    const double left = kLeft + slot * (static_cast<double>(c) + 0.25);
    for (size_t s = 0; s < series.size(); ++s) {
      const double value = series[s].values[c].value;
      canvas.Box(left, below, below + value, slot * 0.5, ColourOf(s));
      below += value;
    }
    canvas.Text(left + slot * 0.25, canvas.Y(below) - 5,
                below < 1000 ? fmt::format("{:.3g}", below) : fmt::format("{:.0f}", below), "middle");
  }
  return canvas.Finish();
}

std::string PointPlot(const PlotAxes& axes, const std::vector<PlotSeries>& series) {
  double x_most = 0;
  for (const PlotSeries& s : series) {
    for (const double x : s.x) x_most = std::max(x_most, x);
  }
  if (!axes.diagonal) x_most *= 1.08;
  const double y_most = axes.y_most.value_or(Most(series));
  Canvas canvas(axes, x_most, y_most);
  canvas.Legend(series);
  const double step = NiceStep(x_most);
  for (double tick = 0; tick <= x_most * 1.0001; tick += step) {
    canvas.Text(canvas.X(tick), kTop + kInnerHeight + 16, fmt::format("{:.4g}", tick), "middle");
  }
  if (axes.diagonal) {
    canvas.Raw(fmt::format(
        "<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"#555\" stroke-dasharray=\"5 4\"/>\n", canvas.X(0),
        canvas.Y(0), canvas.X(std::min(x_most, y_most)), canvas.Y(std::min(x_most, y_most))));
  }
  Labels labels;
  for (size_t s = 0; s < series.size(); ++s) {
    std::string path;
    for (size_t i = 0; i < series[s].values.size(); ++i) {
      const PlotValue& value = series[s].values[i];
      const double x = canvas.X(series[s].x[i]), y = canvas.Y(value.value);
      path += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x, y);
      if (value.interval) canvas.Whisker(x, *value.interval);
      canvas.Raw(
          fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"{}\"/>\n", x, y, ColourOf(s)));
      if (i < series[s].labels.size()) {
        const std::string& label = series[s].labels[i];
        canvas.Text(x + 8, labels.Place(x + 8, y, label), label, "start");
      }
    }
    if (series[s].labels.empty())
      canvas.Raw(fmt::format("<path d=\"{}\" stroke=\"{}\" fill=\"none\"/>\n", path, ColourOf(s)));
  }
  return canvas.Finish();
}

}  // namespace mobilevlm::eval
