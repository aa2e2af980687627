// Line charts as PNG files (Cairo): the training curves of the model card. No torch.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mobilevlm::train {

struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;  // as long as x
};

struct Panel {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Series> series;
  bool log_y = false;  // needs y > 0; other points are left out
};

// Panels stand side by side, two a row, each 640 x 400 pixels. Written atomically.
Status PlotPanels(const std::vector<Panel>& panels, const std::string& path);

}  // namespace mobilevlm::train
