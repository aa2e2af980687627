#include "eval/score_sheet.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "eval/metrics/set_metrics.h"
#include "eval/statistics.h"

namespace mobilevlm::eval {

Figure MeanFigure(std::string name, std::span<const double> scores) {
  const auto wrong_or_right = [](double score) { return score == 0 || score == 1; };
  if (!std::all_of(scores.begin(), scores.end(), wrong_or_right)) {
    return ResampledFigure(std::move(name), scores.size(), Unit::kPercent,
                           [&](std::span<const size_t> sample) {
                             double sum = 0;
                             for (const size_t index : sample) sum += scores[index];
                             return 100 * sum / static_cast<double>(sample.size());
                           });
  }
  Figure figure{.name = std::move(name), .value = 100 * Mean(scores), .count = scores.size(), .interval = {}};
  if (!scores.empty()) {
    const auto right = std::count(scores.begin(), scores.end(), 1.0);
    const Interval interval = WilsonInterval(static_cast<int>(right), static_cast<int>(scores.size()));
    figure.interval = Interval{100 * interval.low, 100 * interval.high};
  }
  return figure;
}

Figure ResampledFigure(std::string name, size_t count, Unit unit,
                       const std::function<double(std::span<const size_t>)>& statistic) {
  Figure figure{.name = std::move(name), .unit = unit, .count = count, .interval = {}};
  if (count == 0) return figure;
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  figure.value = statistic(all);
  figure.interval = BootstrapInterval(count, statistic);
  return figure;
}

}  // namespace mobilevlm::eval
