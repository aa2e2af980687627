#include "train/parallel/data_parallel.h"

#include <atomic>
#include <exception>

#include "base/check.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {
namespace {

void RethrowFirst(const std::vector<std::exception_ptr>& errors) {
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// A process without a micro-batch of its own does not know how many parts the others report, so the sum
// always has room for these.
constexpr size_t kMostParts = 16;

// Sums over the micro-batches of this process, laid out for ProcessGroup::Sum; the last is for the caller.
std::vector<double> Totals(const std::vector<MicroLoss>& losses, LossAverage average) {
  std::vector<double> totals(4 + kMostParts + 1);
  for (const MicroLoss& micro : losses) {
    if (!(micro.weight > 0)) continue;
    const double weight = average == LossAverage::kRank ? 1.0 : micro.weight;
    totals[0] += weight;
    totals[1] += micro.weight;
    totals[2] += micro.flops;
    totals[3] += weight * micro.loss.item<double>();
    for (size_t p = 0; p < micro.parts.size(); ++p) totals[4 + p] += weight * micro.parts[p];
  }
  return totals;
}

}  // namespace

DataParallel::DataParallel(const ParallelOptions& options)
    : options_(options),
      alone_(options.processes == nullptr ? ProcessGroup::Alone() : nullptr),
      processes_(options.processes == nullptr ? alone_.get() : options.processes),
      pool_(options.threads > 0 ? options.threads : processes_->threads_per_process()) {
  at::set_num_threads(1);
}

std::vector<MicroLoss> DataParallel::RunMicroBatches(GradientBuckets& gradients,
                                                     const std::vector<size_t>& own,
                                                     const std::function<MicroLoss(size_t)>& forward,
                                                     std::atomic<bool>& stopped) {
  std::vector<MicroLoss> losses(own.size());
  std::vector<std::exception_ptr> errors(own.size());
  // Neighbours run at the same time: their gradients wait least for their turn.
  std::atomic<size_t> next{0};
  pool_.ParallelFor(static_cast<size_t>(pool_.threads()), [&](size_t) {
    for (size_t i = next++; i < own.size(); i = next++) {
      try {
        if (stop_ && stop_()) stopped = true;
        if (stopped) {
          gradients.Skip(i);
          continue;
        }
        const Bfloat16Guard precision(options_.bfloat16);
        losses[i] = forward(own[i]);
        const bool counts = losses[i].weight > 0;
        const double weight = options_.average == LossAverage::kRank ? 1.0 : losses[i].weight;
        if (counts) {
          gradients.Backward(i, losses[i].loss, weight);
        } else {
          gradients.Skip(i);
        }
        losses[i].loss = losses[i].loss.detach();
      } catch (...) {
        errors[i] = std::current_exception();
        next = own.size();
      }
    }
  });
  RethrowFirst(errors);
  return losses;
}

StepLoss DataParallel::Step(GradientBuckets& gradients, size_t micro_batches,
                            const std::function<MicroLoss(size_t)>& forward) {
  MVLM_CHECK(micro_batches > 0, "a step needs a micro-batch");
  std::vector<size_t> own;
  for (size_t i = 0; i < micro_batches; ++i) {
    if (Owns(i)) own.push_back(i);
  }
  gradients.Begin(own.size());
  std::atomic<bool> stopped = false;
  const std::vector<MicroLoss> losses = RunMicroBatches(gradients, own, forward, stopped);

  std::vector<double> totals = Totals(losses, options_.average);
  totals.back() = stopped ? 1 : 0;
  processes_->Sum(totals);
  if (totals.back() > 0) {
    gradients.Finish(0);
    StepLoss broken_off;
    broken_off.stopped = true;
    return broken_off;
  }
  MVLM_CHECK(totals[0] > 0, "a step without anything to learn");
  gradients.Finish(1.0 / totals[0]);
  StepLoss step{totals[3] / totals[0], totals[1], {}, totals[2]};
  const size_t parts = losses.empty() ? 0 : losses[0].parts.size();
  MVLM_CHECK(parts <= kMostParts, "{} parts of a loss", parts);
  for (size_t p = 0; p < parts; ++p) step.parts.push_back(totals[4 + p] / totals[0]);
  return step;
}

void DataParallel::ForEach(size_t n, const std::function<void(size_t)>& body) {
  std::vector<std::exception_ptr> errors(n);
  pool_.ParallelFor(n, [&](size_t i) {
    try {
      if (stop_ && stop_()) return;
      const torch::NoGradGuard no_gradients;
      const Bfloat16Guard precision(options_.bfloat16);
      body(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  RethrowFirst(errors);
}

void DataParallel::ForEachOwned(size_t n, const std::function<void(size_t)>& body) {
  std::vector<size_t> own;
  for (size_t i = 0; i < n; ++i) {
    if (Owns(i)) own.push_back(i);
  }
  ForEach(own.size(), [&](size_t k) { body(own[k]); });
}

}  // namespace mobilevlm::train
