// AdamW with parameter groups and gradient clipping; state that can be saved by name.
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/parallel/gradient_buckets.h"
#include "train/parameter_group.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

// The trained parameters of a module at the recipe's rates: matrices get the weight decay, vectors (biases,
// norms) none; the projector has its own rate if the recipe gives it one. Names as in the module.
std::vector<ParameterGroup> MakeGroups(const torch::nn::Module& module, const Recipe::Optimizer& optimizer);

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

  static AdamOptions Of(const Recipe::Optimizer& optimizer) {
    return {optimizer.beta1, optimizer.beta2, optimizer.epsilon};
  }
};

// Decoupled weight decay (Loshchilov and Hutter 2019), the operations of torch.optim.AdamW in their order. A
// bfloat16 parameter has a float32 copy, which is what the steps change; the parameter is its rounding.
class Optimizer {
 public:
  // Parameters that must not move are simply not in a group. Sharded over processes, each keeps state for its
  // pieces only (GradientBuckets). `processes` outlives the optimizer.
  Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam, ProcessGroup& processes,
            UpdateSharing sharing);
  // Of this process alone.
  explicit Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam = {});

  // Where DataParallel puts the gradients.
  GradientBuckets& gradients() { return *gradients_; }

  // One step with every group's learning rate times `factor`, after scaling the gradients so that their
  // common norm is at most `clip` (0: no clipping). Returns the norm before clipping; if that is not finite,
  // nothing has moved.
  double Step(double factor, double clip);

  // "<name>.exp_avg" and "<name>.exp_avg_sq" of every parameter and, if any is bfloat16, "<name>.master". All
  // processes call it and take all of it; the optimizer stands still meanwhile.
  GradientBuckets::StateStream State() const;
  // The same full state on every process, whatever number of processes it comes from; `steps` were made.
  Status Load(const NamedTensors& state, int64_t steps);

 private:
  struct Moments {
    torch::Tensor average, square;  // of the gradient
    torch::Tensor master;           // float32: the parameter itself, or its copy
  };

  Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam,
            std::unique_ptr<ProcessGroup> alone);
  void MakeMoments();
  std::vector<std::string> Kinds() const;
  void StepParameter(const torch::Tensor& parameter, Moments& moments, double rate, double decay);

  AdamOptions adam_;
  std::unique_ptr<ProcessGroup> alone_;
  std::unique_ptr<GradientBuckets> gradients_;
  std::map<std::string, Moments> moments_;  // by name of the own parameters
  bool has_copies_ = false;                 // some master is a copy, here or on another process
  int64_t steps_ = 0;                       // made so far
};

}  // namespace mobilevlm::train
