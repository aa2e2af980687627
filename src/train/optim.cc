#include "train/optim.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

using torch::optim::AdamWParamState;

std::string StateKey(const torch::Tensor& parameter) {
  return c10::guts::to_string(parameter.unsafeGetTensorImpl());
}

}  // namespace

std::vector<ParameterGroup> DecayGroups(const torch::nn::Module& module, const std::string& prefix,
                                        double learning_rate, double weight_decay) {
  ParameterGroup decayed{{}, learning_rate, weight_decay};
  ParameterGroup plain{{}, learning_rate, 0.0};
  for (const auto& item : module.named_parameters()) {
    (item.value().dim() >= 2 ? decayed : plain).parameters.emplace_back(prefix + item.key(), item.value());
  }
  return {decayed, plain};
}

double CosineFactor(int64_t step, int64_t warmup, int64_t steps, double floor) {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (step >= steps) return floor;
  const double progress = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
  return floor + (1.0 - floor) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

Optimizer::Optimizer(std::vector<ParameterGroup> groups) : groups_(std::move(groups)) {
  std::vector<torch::optim::OptimizerParamGroup> torch_groups;
  for (const ParameterGroup& group : groups_) {
    std::vector<torch::Tensor> tensors;
    for (const auto& [name, tensor] : group.parameters) tensors.push_back(tensor);
    parameters_.insert(parameters_.end(), tensors.begin(), tensors.end());
    torch_groups.emplace_back(
        tensors, std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(group.learning_rate)
                                                                  .betas({0.9, 0.98})
                                                                  .weight_decay(group.weight_decay)));
  }
  adamw_ = std::make_unique<torch::optim::AdamW>(torch_groups, torch::optim::AdamWOptions());
}

double Optimizer::Step(double factor, double clip) {
  for (size_t g = 0; g < groups_.size(); ++g) {
    auto& options = static_cast<torch::optim::AdamWOptions&>(adamw_->param_groups()[g].options());
    options.lr(groups_[g].learning_rate * factor);
  }
  const double limit = clip > 0 ? clip : std::numeric_limits<double>::infinity();
  const double norm = torch::nn::utils::clip_grad_norm_(parameters_, limit);
  adamw_->step();
  return norm;
}

NamedTensors Optimizer::State() const {
  NamedTensors state;
  int64_t steps = 0;
  for (const ParameterGroup& group : groups_) {
    for (const auto& [name, tensor] : group.parameters) {
      const auto found = adamw_->state().find(StateKey(tensor));
      if (found == adamw_->state().end()) continue;
      const auto& adam = static_cast<const AdamWParamState&>(*found->second);
      state[name + ".exp_avg"] = adam.exp_avg();
      state[name + ".exp_avg_sq"] = adam.exp_avg_sq();
      steps = adam.step();
    }
  }
  state["step"] = torch::tensor(steps);
  return state;
}

Status Optimizer::Load(const NamedTensors& state) {
  const auto step = state.find("step");
  if (step == state.end()) return Fail("optimizer state: no entry 'step'");
  const int64_t steps = step->second.item<int64_t>();
  for (const ParameterGroup& group : groups_) {
    for (const auto& [name, tensor] : group.parameters) {
      const auto average = state.find(name + ".exp_avg");
      const auto square = state.find(name + ".exp_avg_sq");
      if (average == state.end() || square == state.end()) {
        return Fail("optimizer state: nothing about parameter '{}'", name);
      }
      if (average->second.sizes() != tensor.sizes() || square->second.sizes() != tensor.sizes()) {
        return Fail("optimizer state of '{}': the shape differs from the parameter's", name);
      }
      auto adam = std::make_unique<AdamWParamState>();
      adam->step(steps);
      adam->exp_avg(average->second.clone());
      adam->exp_avg_sq(square->second.clone());
      adamw_->state()[StateKey(tensor)] = std::move(adam);
    }
  }
  return {};
}

}  // namespace mobilevlm::train
