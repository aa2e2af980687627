// AdamW with parameter groups, cosine schedule and gradient clipping; state that can be saved by name.
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mobilevlm::train {

using NamedTensors = std::map<std::string, torch::Tensor>;

struct ParameterGroup {
  std::vector<std::pair<std::string, torch::Tensor>> parameters;
  double learning_rate = 0;
  double weight_decay = 0;
};

// Splits a module's parameters: matrices get the weight decay, vectors (biases, norms) none.
std::vector<ParameterGroup> DecayGroups(const torch::nn::Module& module, const std::string& prefix,
                                        double learning_rate, double weight_decay);

// 0 -> 1 linearly over `warmup` steps, then a half cosine down to `floor` at `steps`.
double CosineFactor(int64_t step, int64_t warmup, int64_t steps, double floor);

class Optimizer {
 public:
  // Parameters that must not move are simply not in a group.
  explicit Optimizer(std::vector<ParameterGroup> groups);

  const std::vector<torch::Tensor>& parameters() const { return parameters_; }

  // One AdamW step with every group's learning rate times `factor`, after scaling the gradients so that
  // their common norm is at most `clip` (0: no clipping). Returns the norm before clipping.
  double Step(double factor, double clip);

  // "<name>.exp_avg", "<name>.exp_avg_sq" of every parameter, and "step".
  NamedTensors State() const;
  Status Load(const NamedTensors& state);

 private:
  std::vector<ParameterGroup> groups_;
  std::vector<torch::Tensor> parameters_;
  std::unique_ptr<torch::optim::AdamW> adamw_;
};

}  // namespace mobilevlm::train
