// Plots of experiments as SVG files: bars with intervals, stacked bars, points with lines.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/proportion.h"

namespace mobilevlm::eval {

// One value with its 95 % interval, if it has one.
struct PlotValue {
  double value = 0;
  std::optional<Interval> interval = {};
};

struct PlotSeries {
  std::string name;
  std::vector<PlotValue> values;         // bars: [categories]
  std::vector<double> x = {};            // points: [values]
  std::vector<std::string> labels = {};  // points: beside each
};

struct PlotAxes {
  std::string title, x_label, y_label;
  std::optional<double> y_most = {};  // default: what the values need
  std::optional<double> guide = {};   // a dashed horizontal line, "chance"
  bool diagonal = false;              // points: the line y = x
};

// A group of bars for each category, one bar a series.
std::string BarPlot(const PlotAxes& axes, const std::vector<std::string>& categories,
                    const std::vector<PlotSeries>& series);
// One bar for each category, the series on top of each other.
std::string StackedPlot(const PlotAxes& axes, const std::vector<std::string>& categories,
                        const std::vector<PlotSeries>& series);
// Points joined by lines where a series has more than one and no labels.
std::string PointPlot(const PlotAxes& axes, const std::vector<PlotSeries>& series);

}  // namespace mobilevlm::eval
