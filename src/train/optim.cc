#include "train/optim.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

using torch::optim::AdamWParamState;

constexpr char kAverage[] = "exp_avg", kSquare[] = "exp_avg_sq";

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

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, ProcessGroup& processes,
                     UpdateSharing sharing)
    : gradients_(std::make_unique<GradientBuckets>(groups, processes, sharing)) {
  MakeAdamW();
}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups) : Optimizer(groups, ProcessGroup::Alone()) {}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, std::unique_ptr<ProcessGroup> alone)
    : alone_(std::move(alone)),
      gradients_(std::make_unique<GradientBuckets>(groups, *alone_, UpdateSharing::kReplicated)) {
  MakeAdamW();
}

void Optimizer::MakeAdamW() {
  std::vector<torch::optim::OptimizerParamGroup> torch_groups;
  for (const ParameterGroup& group : gradients_->own_groups()) {
    std::vector<torch::Tensor> tensors;
    for (const auto& [name, tensor] : group.parameters) tensors.push_back(tensor);
    torch_groups.emplace_back(
        tensors, std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(group.learning_rate)
                                                                  .betas({0.9, 0.98})
                                                                  .weight_decay(group.weight_decay)));
  }
  adamw_ = std::make_unique<torch::optim::AdamW>(torch_groups, torch::optim::AdamWOptions());
}

double Optimizer::Step(double factor, double clip) {
  const std::vector<ParameterGroup>& groups = gradients_->own_groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    auto& options = static_cast<torch::optim::AdamWOptions&>(adamw_->param_groups()[g].options());
    options.lr(groups[g].learning_rate * factor);
  }
  const double norm = gradients_->Clip(clip);
  adamw_->step();
  ++steps_;
  gradients_->ShareUpdates();
  return norm;
}

NamedTensors Optimizer::State() const {
  NamedTensors own;
  for (const ParameterGroup& group : gradients_->own_groups()) {
    for (const auto& [name, tensor] : group.parameters) {
      const auto found = adamw_->state().find(StateKey(tensor));
      if (found == adamw_->state().end()) continue;
      const auto& adam = static_cast<const AdamWParamState&>(*found->second);
      own[name + "." + kAverage] = adam.exp_avg();
      own[name + "." + kSquare] = adam.exp_avg_sq();
    }
  }
  NamedTensors state = gradients_->GatherState(own, {kAverage, kSquare});
  if (gradients_->processes().first()) state["step"] = torch::tensor(steps_);
  return state;
}

Status Optimizer::Load(const NamedTensors& state) {
  const auto step = state.find("step");
  if (step == state.end()) return Fail("optimizer state: no entry 'step'");
  MVLM_ASSIGN(const NamedTensors own, gradients_->OwnState(state, {kAverage, kSquare}));
  steps_ = step->second.item<int64_t>();
  for (const ParameterGroup& group : gradients_->own_groups()) {
    for (const auto& [name, tensor] : group.parameters) {
      auto adam = std::make_unique<AdamWParamState>();
      adam->step(steps_);
      adam->exp_avg(own.at(name + "." + kAverage).clone());
      adam->exp_avg_sq(own.at(name + "." + kSquare).clone());
      adamw_->state()[StateKey(tensor)] = std::move(adam);
    }
  }
  return {};
}

}  // namespace mobilevlm::train
