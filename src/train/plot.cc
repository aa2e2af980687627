#include "train/plot.h"

#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "base/atomic_file.h"
#include "base/check.h"

namespace mobilevlm::train {
namespace {

constexpr int kWidth = 640;
constexpr int kHeight = 400;
// Margins around the plotted area, in pixels.
constexpr double kMarginLeft = 64, kMarginRight = 132, kMarginTop = 40, kMarginBottom = 48;

// Colour-blind safe (Okabe and Ito), then repeated with dashes.
constexpr double kPalette[][3] = {{0.00, 0.45, 0.70}, {0.90, 0.62, 0.00}, {0.00, 0.62, 0.45},
                                  {0.80, 0.40, 0.00}, {0.80, 0.60, 0.70}, {0.34, 0.71, 0.91}};
constexpr size_t kColours = std::size(kPalette);

struct Range {
  double low = INFINITY;
  double high = -INFINITY;

  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void Widen() {
    if (!(low <= high)) low = 0, high = 1;
    if (high - low < 1e-9) low -= 0.5, high += 0.5;
  }
  double Fraction(double value) const { return (value - low) / (high - low); }
};

// The 1-2-5 step that gives about `wanted` ticks.
double TickStep(const Range& range, int wanted) {
  const double raw = (range.high - range.low) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

enum class Align { kLeft, kCentre, kRight };

void Text(cairo_t* cr, double x, double y, const std::string& text, Align align, double size = 12) {
  cairo_set_font_size(cr, size);
  cairo_text_extents_t extents;
  cairo_text_extents(cr, text.c_str(), &extents);
  if (align == Align::kCentre) x -= extents.x_advance / 2;
  if (align == Align::kRight) x -= extents.x_advance;
  cairo_move_to(cr, x, y);
  cairo_show_text(cr, text.c_str());
}

class PanelPainter {
 public:
  PanelPainter(cairo_t* cr, const Panel& panel) : cr_(cr), panel_(panel) {
    for (const Series& series : panel.series) {
      MVLM_CHECK(series.x.size() == series.y.size(), "{}", series.name);
      for (size_t i = 0; i < series.x.size(); ++i) {
        if (!Drawn(series.y[i])) continue;
        x_.Add(series.x[i]);
        y_.Add(Scaled(series.y[i]));
      }
    }
    x_.Widen();
    y_.Widen();
  }

  void Paint() {
    cairo_set_source_rgb(cr_, 0.1, 0.1, 0.1);
    Text(cr_, kMarginLeft, 24, panel_.title, Align::kLeft, 15);
    Text(cr_, (kMarginLeft + kWidth - kMarginRight) / 2, kHeight - 10, panel_.x_label, Align::kCentre);
    Text(cr_, kWidth - kMarginRight, 24, panel_.y_label, Align::kRight);
    PaintAxes();
    for (size_t i = 0; i < panel_.series.size(); ++i) PaintSeries(i);
  }

 private:
  bool Drawn(double y) const { return std::isfinite(y) && (!panel_.log_y || y > 0); }
  double Scaled(double y) const { return panel_.log_y ? std::log10(y) : y; }
  double PixelX(double x) const {
    return kMarginLeft + x_.Fraction(x) * (kWidth - kMarginLeft - kMarginRight);
  }
  double PixelY(double scaled) const {
    return kHeight - kMarginBottom - y_.Fraction(scaled) * (kHeight - kMarginTop - kMarginBottom);
  }

  void Line(double x0, double y0, double x1, double y1) {
    cairo_move_to(cr_, x0, y0);
    cairo_line_to(cr_, x1, y1);
    cairo_stroke(cr_);
  }

  void PaintAxes() {
    cairo_set_line_width(cr_, 1);
    const double y_step = TickStep(y_, 6);
    for (double y = std::ceil(y_.low / y_step) * y_step; y <= y_.high + 1e-9; y += y_step) {
      cairo_set_source_rgb(cr_, 0.88, 0.88, 0.88);
      Line(kMarginLeft, PixelY(y), kWidth - kMarginRight, PixelY(y));
      cairo_set_source_rgb(cr_, 0.3, 0.3, 0.3);
      const double shown = panel_.log_y ? std::pow(10.0, y) : (std::fabs(y) < 1e-12 ? 0 : y);
      Text(cr_, kMarginLeft - 6, PixelY(y) + 4, fmt::format("{:.3g}", shown), Align::kRight, 11);
    }
    const double x_step = TickStep(x_, 5);
    for (double x = std::ceil(x_.low / x_step) * x_step; x <= x_.high + 1e-9; x += x_step) {
      cairo_set_source_rgb(cr_, 0.3, 0.3, 0.3);
      Line(PixelX(x), kHeight - kMarginBottom, PixelX(x), kHeight - kMarginBottom + 4);
      Text(cr_, PixelX(x), kHeight - kMarginBottom + 18, fmt::format("{:g}", x), Align::kCentre, 11);
    }
    Line(kMarginLeft, kHeight - kMarginBottom, kWidth - kMarginRight, kHeight - kMarginBottom);
  }

  void PaintSeries(size_t index) {
    const Series& series = panel_.series[index];
    const double* colour = kPalette[index % kColours];
    const double dashes[] = {5, 3};
    cairo_set_dash(cr_, dashes, index < kColours ? 0 : 2, 0);
    cairo_set_source_rgb(cr_, colour[0], colour[1], colour[2]);
    cairo_set_line_width(cr_, 1.6);
    cairo_new_path(cr_);  // text leaves a current point behind
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (Drawn(series.y[i])) cairo_line_to(cr_, PixelX(series.x[i]), PixelY(Scaled(series.y[i])));
    }
    cairo_stroke(cr_);
    if (series.x.size() == 1 && Drawn(series.y[0])) {  // no line shows a lone point
      cairo_arc(cr_, PixelX(series.x[0]), PixelY(Scaled(series.y[0])), 4, 0, 2 * std::numbers::pi);
      cairo_fill(cr_);
    }
    const double y = kMarginTop + 10 + 18 * static_cast<double>(index);
    Line(kWidth - kMarginRight + 10, y - 4, kWidth - kMarginRight + 30, y - 4);
    cairo_set_dash(cr_, dashes, 0, 0);
    cairo_set_source_rgb(cr_, 0.1, 0.1, 0.1);
    Text(cr_, kWidth - kMarginRight + 35, y, series.name, Align::kLeft);
  }

  cairo_t* cr_;
  const Panel& panel_;
  Range x_;
  Range y_;
};

cairo_status_t AppendBytes(void* closure, const unsigned char* data, unsigned int length) {
  static_cast<std::string*>(closure)->append(reinterpret_cast<const char*>(data), length);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Status PlotPanels(const std::vector<Panel>& panels, const std::string& path) {
  const int columns = panels.size() > 1 ? 2 : 1;
  const int rows = (static_cast<int>(panels.size()) + columns - 1) / columns;
  std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, kWidth * columns, kHeight * std::max(rows, 1)),
      cairo_surface_destroy);
  std::unique_ptr<cairo_t, void (*)(cairo_t*)> cr(cairo_create(surface.get()), cairo_destroy);
  cairo_set_source_rgb(cr.get(), 1, 1, 1);
  cairo_paint(cr.get());
  cairo_select_font_face(cr.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  for (size_t i = 0; i < panels.size(); ++i) {
    cairo_save(cr.get());
    cairo_translate(cr.get(), static_cast<double>(i % 2) * kWidth, static_cast<double>(i / 2) * kHeight);
    PanelPainter(cr.get(), panels[i]).Paint();
    cairo_restore(cr.get());
  }
  std::string png;
  const cairo_status_t status = cairo_surface_write_to_png_stream(surface.get(), AppendBytes, &png);
  if (status != CAIRO_STATUS_SUCCESS)
    return Fail("{}: cannot draw: {}", path, cairo_status_to_string(status));
  return WriteFileAtomically(path, png);
}

}  // namespace mobilevlm::train
