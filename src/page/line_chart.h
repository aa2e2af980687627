// Line charts as inline SVG for the report: no script, colours from the page's style sheet (classes c0 to
// c9), readable at the width of a phone.
#pragma once

#include <string>
#include <vector>

namespace mobilevlm::page {

struct Curve {
  std::string name;
  std::vector<double> x, y;  // equally long, x ascending steps; points that are not finite are left out
};

struct LineChart {
  std::string title;
  std::vector<Curve> series;
  bool log_y = false;      // only points above 0 are drawn
  bool from_zero = false;  // the axis begins at 0 (else at the smallest value)
};

// <figure> with title, SVG and legend; escapes whatever the names hold.
std::string LineChartHtml(const LineChart& chart);

}  // namespace mobilevlm::page
