#include "bench/roofline.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mobilevlm::bench {
namespace {

constexpr double kWidth = 960, kHeight = 624;
constexpr double kLeft = 84, kRight = 932, kTop = 116, kBottom = 552;  // of the plot
constexpr double kLegend = 92;

struct Point {
  std::string label;
  std::string value;
  double intensity = 0;  // operations per byte
  double speed = 0;      // 10^9 operations per second
  double roof = 0;       // what it could reach at that intensity
  const char* colour = "";
};

// Powers of ten (y) and of two (x) that enclose all points and roofs.
struct Axes {
  double x_low = 0.25, x_high = 256, y_low = 1, y_high = 10000;

  double X(double intensity) const {
    return kLeft + (kRight - kLeft) * std::log(intensity / x_low) / std::log(x_high / x_low);
  }
  double Y(double speed) const {
    return kBottom - (kBottom - kTop) * std::log(speed / y_low) / std::log(y_high / y_low);
  }
};

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '&')
      escaped += "&amp;";
    else if (static_cast<unsigned char>(c) >= ' ')
      escaped += c;
  }
  return escaped;
}

std::string Text(double x, double y, std::string_view style, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, Escape(text));
}

std::string Segment(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     style);
}

std::vector<Point> Points(const Report& r) {
  const double bandwidth = r.ceilings.read_gbs;
  std::vector<Point> points;
  const auto add = [&](std::string label, std::string value, double operations, double bytes, double seconds,
                       double peak, const char* colour) {
    if (seconds <= 0 || bytes <= 0) return;
    const double intensity = operations / bytes;
    points.push_back({std::move(label), std::move(value), intensity, operations / seconds / kGiga,
                      std::min(peak, intensity * bandwidth), colour});
  };
  add("image encode", fmt::format("{:.2f} s", r.encode_s()), r.encode_operations.total(),
      static_cast<double>(r.encode_bytes), r.encode_s(), r.EncodePeak(), "#c2410c");
  add(fmt::format("prompt of {}", r.prompt_positions), fmt::format("{:.0f} tok/s", r.prompt_tok_s()),
      r.prompt_operations, static_cast<double>(r.decode_weight_bytes), r.latency.prompt.median(),
      r.PromptPeak(), "#1d4ed8");
  add("decode", fmt::format("{:.1f} tok/s", r.decode_tok_s()), r.decode_operations,
      r.DecodeBytes(r.latency.headline), r.latency.headline.decode.median() / kDecodeTokens, r.PromptPeak(),
      "#15803d");
  return points;
}

Axes ChooseAxes(const Report& r, const std::vector<Point>& points) {
  Axes axes;
  double slowest = axes.x_low * r.ceilings.read_gbs;
  for (const Point& point : points) {
    axes.x_low = std::min(axes.x_low, std::exp2(std::floor(std::log2(point.intensity) - 1)));
    axes.x_high = std::max(axes.x_high, std::exp2(std::ceil(std::log2(point.intensity) + 1)));
    slowest = std::min(slowest, point.speed);
  }
  axes.y_low = std::pow(10, std::floor(std::log10(std::max(slowest, 1e-3))));
  axes.y_high = std::pow(10, std::ceil(std::log10(1.3 * std::max(r.ceilings.int8_gops, 1.0))));
  return axes;
}

std::string Grid(const Axes& axes) {
  constexpr std::string_view kLine = "stroke=\"#e5e7eb\"";
  constexpr std::string_view kTick = "class=\"tick\" text-anchor=\"middle\"";
  std::string svg;
  for (double x = axes.x_low; x <= axes.x_high * 1.001; x *= 4) {
    svg += Segment(axes.X(x), kTop, axes.X(x), kBottom, kLine);
    svg += Text(axes.X(x), kBottom + 20, kTick, fmt::format("{:g}", x));
  }
  for (double y = axes.y_low; y <= axes.y_high * 1.001; y *= 10) {
    svg += Segment(kLeft, axes.Y(y), kRight, axes.Y(y), kLine);
    svg += Text(kLeft - 10, axes.Y(y) + 4, "class=\"tick\" text-anchor=\"end\"", fmt::format("{:g}", y));
  }
  svg += Text((kLeft + kRight) / 2, kBottom + 48, "class=\"axis\" text-anchor=\"middle\"",
              "operations per byte read");
  svg += fmt::format(
      "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(26 {:.0f}) rotate(-90)\">"
      "10\xE2\x81\xB9 operations per second</text>\n",
      (kTop + kBottom) / 2);
  return svg;
}

// A level roof from where the memory's slope meets it, and the slope up to the highest.
std::string Roofs(const Report& r, const Axes& axes) {
  const costs::Ceilings& c = r.ceilings;
  const double name_x = axes.X(c.int8_gops / c.read_gbs) + 8;  // right of the slope for both
  const auto level = [&](double speed, std::string_view name, std::string_view unit) {
    const double x = axes.X(speed / c.read_gbs);
    return Segment(x, axes.Y(speed), kRight, axes.Y(speed), "stroke=\"#374151\" stroke-width=\"2.5\"") +
           Text(name_x, axes.Y(speed) - 8, "class=\"roof\"", fmt::format("{} {:.0f} {}", name, speed, unit));
  };
  const double begin = axes.x_low * std::max(1.0, axes.y_low / (axes.x_low * c.read_gbs));
  const double x1 = axes.X(begin), y1 = axes.Y(begin * c.read_gbs);
  const double x2 = axes.X(c.int8_gops / c.read_gbs), y2 = axes.Y(c.int8_gops);
  std::string svg = Segment(x1, y1, x2, y2, "stroke=\"#374151\" stroke-width=\"2.5\"");
  const double angle = std::atan2(y2 - y1, x2 - x1) * 180 / 3.14159265358979;
  svg += fmt::format(
      "<text class=\"roof\" text-anchor=\"middle\" transform=\"translate({:.1f} {:.1f}) rotate({:.1f})\">"
      "memory {:.1f} GB/s</text>\n",
      x1 + 0.62 * (x2 - x1), y1 + 0.62 * (y2 - y1) - 10, angle, c.read_gbs);
  return svg + level(c.int8_gops, "int8", "GOP/s") + level(c.fp32_gflops, "fp32", "GFLOP/s");
}

std::string Dot(double x, double y, const Point& point) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"6\" fill=\"{}\"/>\n", x, y, point.colour);
}

// The dots, and dotted lines up to their roofs.
std::string Marks(const std::vector<Point>& points, const Axes& axes) {
  std::string svg;
  for (const Point& p : points) {
    const double x = axes.X(p.intensity);
    const double y = axes.Y(std::max(p.speed, axes.y_low));
    svg += Segment(x, y, x, axes.Y(p.roof),
                   fmt::format("stroke=\"{}\" stroke-width=\"1.5\" stroke-dasharray=\"2 4\"", p.colour));
    svg += Dot(x, y, p);
  }
  return svg;
}

// What the dots are, and how much of the roof they reach: above the plot, where nothing is written over,
// however near dots and roofs lie.
std::string Legend(const std::vector<Point>& points) {
  std::string svg;
  for (size_t i = 0; i < points.size(); ++i) {
    const Point& p = points[i];
    const double x = kLeft + static_cast<double>(i) * (kRight - kLeft) / static_cast<double>(points.size());
    svg += Dot(x + 6, kLegend, p);
    svg += Text(
        x + 18, kLegend + 5, fmt::format("class=\"mark\" fill=\"{}\"", p.colour),
        fmt::format("{}, {}: {:.2f} of its roof", p.label, p.value, p.roof > 0 ? p.speed / p.roof : 0.0));
  }
  return svg;
}

}  // namespace

std::string RooflineSvg(const Report& r) {
  const std::vector<Point> points = Points(r);
  const Axes axes = ChooseAxes(r, points);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n"
      "<style>.title{{font-size:20px;font-weight:bold;fill:#111827}}.sub{{font-size:13px;fill:#4b5563}}"
      ".tick{{font-size:12px;fill:#4b5563}}.axis{{font-size:14px;fill:#111827}}"
      ".roof{{font-size:13px;fill:#374151}}.mark{{font-size:12.5px}}</style>\n"
      "<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#ffffff\"/>\n",
      kWidth, kHeight);
  svg += Text(kLeft, 38, "class=\"title\"",
              fmt::format("MobileVLM roofline: text {}, vision {}", DTypeName(r.text_type),
                          DTypeName(r.vision_type)));
  svg += Text(kLeft, 62, "class=\"sub\"",
              fmt::format("{}, {} threads, kernels {}", r.cpu, r.model.threads, r.model.isa));
  svg += Legend(points) + Grid(axes) + Roofs(r, axes) + Marks(points, axes);
  return svg + "</svg>\n";
}

}  // namespace mobilevlm::bench
