// Data parallel training inside one process.
//
// A step's batch is cut into micro-batches. Each runs forward and backward on one thread, on the same
// module (its parameters are only read), and yields gradients of its own; they are then added in the
// order of the micro-batches. So the result does not depend on the number of threads, and small models
// train faster than with threads inside each operator.
//
// Thread contract: one caller. Creating a DataParallel sets libtorch to one thread per operator for the
// whole process.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "base/thread_pool.h"

namespace mobilevlm::train {

// What one micro-batch yields. `loss` is a mean over `weight` items (supervised tokens, pictures);
// `parts` are means too, for the log.
struct MicroLoss {
  torch::Tensor loss;
  double weight = 0;
  std::vector<double> parts;
};

struct StepLoss {
  double loss = 0;
  double weight = 0;
  std::vector<double> parts;
};

class DataParallel {
 public:
  // threads 0: one per CPU. `bfloat16`: matrix products as under a Bfloat16Guard.
  DataParallel(int threads, bool bfloat16);

  int threads() const { return pool_.threads(); }

  // Sets .grad of every parameter to the weighted mean of the micro-batches' gradients.
  StepLoss Step(const std::vector<torch::Tensor>& parameters, size_t micro_batches,
                const std::function<MicroLoss(size_t)>& forward);

  // body(i) for every i in [0, n) on all threads, without gradients.
  void ForEach(size_t n, const std::function<void(size_t)>& body);

 private:
  ThreadPool pool_;
  bool bfloat16_;
};

}  // namespace mobilevlm::train
