// The all-reduce of this job, timed: latency and bandwidth for the cost model (costs/job_plan.h).
#pragma once

#include "train/parallel/process_group.h"

namespace mobilevlm::train {

struct AllReduceTime {
  double bytes = 0;
  double seconds = 0;  // median of several, mean over the processes
  double ring_bandwidth =
      0;  // bytes per second that each process sends if it is a ring: 2 (n - 1) / n * bytes
};

// All processes call it. Throws PeerLost.
AllReduceTime MeasureAllReduce(ProcessGroup& processes, double bytes);

}  // namespace mobilevlm::train
