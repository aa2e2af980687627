// Plots as inline SVG, readable at the width of a phone; colours are the page's classes c0 to c9.
#pragma once

#include <string>
#include <vector>

namespace mobilevlm::page {

// Horizontal bars, one below the other, each possibly of several parts.
struct BarChart {
  struct Bar {
    std::string label;
    std::vector<double> parts;  // one a series
    std::string value;          // written behind the bar
  };
  std::string title;
  std::vector<std::string> series;  // names for the legend; one name alone is not shown
  std::vector<Bar> bars;
};
// <figure> with title, SVG and legend.
std::string BarChartHtml(const BarChart& chart);

// Counts over bins side by side; the series overlap.
struct Histogram {
  std::string title;
  std::string x_label;
  std::vector<std::string> bins;  // labels below them; every other one is left out where they are many
  struct Series {
    std::string name;
    std::vector<double> counts;  // [bins]
  };
  std::vector<Series> series;
};
std::string HistogramHtml(const Histogram& histogram);

}  // namespace mobilevlm::page
