// Data parallel training: a step's batch is cut into micro-batches, which the processes of the job share, and
// in each process its threads.
//
// Each micro-batch runs forward and backward on one thread, on the same module (its parameters are only
// read); the gradients are added in the order of the micro-batches (GradientBuckets). So the result does not
// depend on the number of threads, and small models train faster than with threads inside each operator.
//
// Thread contract: one caller. Creating a DataParallel sets libtorch to one thread per operator for the
// whole process.
#pragma once

#include <torch/torch.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "train/parallel/gradient_buckets.h"
#include "train/parallel/options.h"
#include "train/parallel/process_group.h"

namespace mobilevlm::train {

// What one micro-batch yields. `loss` is a mean over `weight` items (supervised tokens, pictures);
// `parts` are means too, for the log.
struct MicroLoss {
  torch::Tensor loss;
  double weight = 0;
  std::vector<double> parts = {};
  double flops = 0;  // of forward and backward, of the model's matrix products
};

struct StepLoss {
  double loss = 0;
  double weight = 0;
  std::vector<double> parts;
  double flops = 0;      // of all processes
  bool stopped = false;  // some process was told to: what the step was to learn is not there
};

class DataParallel {
 public:
  explicit DataParallel(const ParallelOptions& options);
  DataParallel(int threads, bool bfloat16)
      : DataParallel(ParallelOptions{.threads = threads, .bfloat16 = bfloat16}) {}

  int threads() const { return pool_.threads(); }
  int peak_threads() const { return options_.tells_share_of_peak ? threads() : 0; }  // LoopOptions
  ProcessGroup& processes() const { return *processes_; }
  UpdateSharing sharing() const { return options_.sharing; }

  // Asked between micro-batches and items, by several threads: true leaves out the rest of a step, here and,
  // when they have run theirs, on all processes; and the rest of ForEach.
  void StopWhen(std::function<bool()> stop) { stop_ = std::move(stop); }

  // Does this process run micro-batch (or any other numbered item) i? They are dealt in turn, so that a
  // list sorted by length is shared evenly.
  bool Owns(size_t i) const {
    return i % static_cast<size_t>(processes_->size()) == static_cast<size_t>(processes_->rank());
  }

  // Fills `gradients` with the mean over all micro-batches of all processes. `forward` is called for the own
  // ones among [0, micro_batches). The result is the same on every process, but for `parts`, which only those
  // know that own a micro-batch.
  StepLoss Step(GradientBuckets& gradients, size_t micro_batches,
                const std::function<MicroLoss(size_t)>& forward);

  // body(i) for every i in [0, n) on all threads of this process, without gradients.
  void ForEach(size_t n, const std::function<void(size_t)>& body);
  // The same for the items that this process owns; the others run elsewhere.
  void ForEachOwned(size_t n, const std::function<void(size_t)>& body);

 private:
  std::vector<MicroLoss> RunMicroBatches(GradientBuckets& gradients, const std::vector<size_t>& own,
                                         const std::function<MicroLoss(size_t)>& forward,
                                         std::atomic<bool>& stopped);

  ParallelOptions options_;
  std::unique_ptr<ProcessGroup> alone_;
  ProcessGroup* processes_;
  ThreadPool pool_;
  std::function<bool()> stop_;
};

}  // namespace mobilevlm::train
