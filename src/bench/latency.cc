#include "bench/latency.h"

#include <algorithm>

#include "base/progress.h"
#include "base/stopwatch.h"

namespace mobilevlm::bench {
namespace {

template <class Step>
double Time(Step&& step) {
  const Stopwatch watch;
  step();
  return watch.Seconds();
}

class Measurement {
 public:
  Measurement(Workload& workload, const LatencyOptions& options, uint64_t steps)
      : workload_(workload), options_(options), progress_("measuring", steps), steps_(steps) {}

  Status Encode(Latency& latency) {
    for (int i = 0; i <= options_.repeats; ++i) {
      MVLM_TRY(Next("encode"));
      const double preprocess = Time([&] { workload_.Preprocess(); });
      const double tower = Time([&] { workload_.RunTower(); });
      const double projector = Time([&] { workload_.RunProjector(); });
      if (i == 0) continue;  // buffers grow, pages are mapped
      latency.preprocess.seconds.push_back(preprocess);
      latency.tower.seconds.push_back(tower);
      latency.projector.seconds.push_back(projector);
      latency.encode.seconds.push_back(tower + projector);
    }
    return {};
  }

  Status Prompt(Series& series) {
    for (int i = 0; i <= options_.repeats; ++i) {
      MVLM_TRY(Next("prompt"));
      const double seconds = Time([&] { workload_.ReadPrompt(); });
      if (i > 0) series.seconds.push_back(seconds);
    }
    return {};
  }

  // The cache holds at most `series.depth` positions; it holds exactly that many afterwards.
  Status Decode(DepthSeries& series) {
    workload_.ExtendTo(series.depth);
    for (int i = 0; i <= options_.repeats; ++i) {
      MVLM_TRY(Next("decode"));
      Status status;
      const double seconds = Time([&] { status = workload_.Decode(kDecodeTokens); });
      MVLM_TRY(status);
      if (i > 0) series.decode.seconds.push_back(seconds);
      workload_.ShrinkTo(series.depth);
    }
    return {};
  }

 private:
  Status Next(std::string_view what) {
    if (options_.cancel != nullptr && *options_.cancel) return Fail("interrupted");
    progress_.Update(std::min(done_++, steps_), what);
    return {};
  }

  Workload& workload_;
  const LatencyOptions& options_;
  Progress progress_;
  uint64_t steps_;
  uint64_t done_ = 0;
};

}  // namespace

double Series::median() const {
  if (seconds.empty()) return 0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Series::least() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double Series::most() const {
  return seconds.empty() ? 0 : *std::max_element(seconds.begin(), seconds.end());
}

Result<Latency> MeasureLatency(Workload& workload, const LatencyOptions& options) {
  Latency latency;
  latency.headline.depth = workload.prompt_positions();
  std::vector<int> depths = options.depths;
  std::sort(depths.begin(), depths.end());
  for (const int depth : depths) {
    const int most = static_cast<int>(workload.model().context) - kDecodeTokens;
    if (depth > latency.headline.depth && depth <= most) latency.deeper.push_back({depth, {}});
  }
  const uint64_t groups = 3 + latency.deeper.size();
  Measurement measurement(workload, options, groups * static_cast<uint64_t>(options.repeats + 1));
  MVLM_TRY(measurement.Encode(latency));
  MVLM_TRY(measurement.Prompt(latency.prompt));
  MVLM_TRY(measurement.Decode(latency.headline));
  for (DepthSeries& series : latency.deeper) MVLM_TRY(measurement.Decode(series));
  return latency;
}

}  // namespace mobilevlm::bench
