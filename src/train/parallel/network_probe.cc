#include "train/parallel/network_probe.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "base/stopwatch.h"

namespace mobilevlm::train {

AllReduceTime MeasureAllReduce(ProcessGroup& processes, double bytes) {
  constexpr int kTries = 7;
  const auto elements = std::max<int64_t>(1, static_cast<int64_t>(bytes / sizeof(float)));
  const torch::Tensor tensor = torch::ones({elements});
  processes.AllReduceSum(tensor).Wait();  // connections and buffers
  std::vector<double> seconds;
  for (int i = 0; i < kTries; ++i) {
    tensor.fill_(1.0);
    processes.Barrier();
    const Stopwatch watch;
    processes.AllReduceSum(tensor).Wait();
    seconds.push_back(watch.Seconds());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kTries / 2, seconds.end());
  AllReduceTime time;
  time.bytes = static_cast<double>(elements) * sizeof(float);
  // Each process waits for the others, so their medians hardly differ; the mean is everyone's.
  std::vector<double> sum{seconds[kTries / 2]};
  processes.Sum(sum);
  time.seconds = sum[0] / processes.size();
  const double n = processes.size();
  time.ring_bandwidth = time.seconds > 0 ? 2 * (n - 1) / n * time.bytes / time.seconds : 0;
  return time;
}

}  // namespace mobilevlm::train
