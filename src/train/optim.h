// AdamW with parameter groups, cosine schedule and gradient clipping; state that can be saved by name.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/parallel/gradient_buckets.h"
#include "train/parameter_group.h"

namespace mobilevlm::train {

// Splits a module's parameters: matrices get the weight decay, vectors (biases, norms) none.
std::vector<ParameterGroup> DecayGroups(const torch::nn::Module& module, const std::string& prefix,
                                        double learning_rate, double weight_decay);

// 0 -> 1 linearly over `warmup` steps, then a half cosine down to `floor` at `steps`.
double CosineFactor(int64_t step, int64_t warmup, int64_t steps, double floor);

class Optimizer {
 public:
  // Parameters that must not move are simply not in a group. Sharded over processes, each keeps state for its
  // pieces only (GradientBuckets). `processes` outlives the optimizer.
  Optimizer(const std::vector<ParameterGroup>& groups, ProcessGroup& processes, UpdateSharing sharing);
  // Of this process alone.
  explicit Optimizer(const std::vector<ParameterGroup>& groups);

  // Where DataParallel puts the gradients.
  GradientBuckets& gradients() { return *gradients_; }

  // One AdamW step with every group's learning rate times `factor`, after scaling the gradients so that
  // their common norm is at most `clip` (0: no clipping). Returns the norm before clipping.
  double Step(double factor, double clip);

  // "<name>.exp_avg", "<name>.exp_avg_sq" of every parameter, and "step". All processes call it; only rank 0
  // gets the state, the others an empty map.
  NamedTensors State() const;
  // The same full state on every process, whatever number of processes it comes from.
  Status Load(const NamedTensors& state);

 private:
  Optimizer(const std::vector<ParameterGroup>& groups, std::unique_ptr<ProcessGroup> alone);
  void MakeAdamW();

  std::unique_ptr<ProcessGroup> alone_;
  std::unique_ptr<GradientBuckets> gradients_;
  std::unique_ptr<torch::optim::AdamW> adamw_;
  int64_t steps_ = 0;  // made so far
};

}  // namespace mobilevlm::train
