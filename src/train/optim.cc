#include "train/optim.h"

#include <algorithm>
#include <cmath>

namespace mobilevlm::train {
namespace {

constexpr char kAverage[] = "exp_avg", kSquare[] = "exp_avg_sq", kMaster[] = "master";

std::string Key(const std::string& name, const char* kind) { return fmt::format("{}.{}", name, kind); }

bool HasCopies(const std::vector<ParameterGroup>& groups) {
  return std::any_of(groups.begin(), groups.end(), [](const ParameterGroup& group) {
    return std::any_of(group.parameters.begin(), group.parameters.end(),
                       [](const auto& item) { return item.second.scalar_type() != torch::kFloat32; });
  });
}

}  // namespace

std::vector<ParameterGroup> MakeGroups(const torch::nn::Module& module, const Recipe::Optimizer& optimizer) {
  const double rate = optimizer.learning_rate;
  const double projector_rate =
      optimizer.projector_learning_rate > 0 ? optimizer.projector_learning_rate : rate;
  std::vector<ParameterGroup> groups{{{}, rate, optimizer.weight_decay},
                                     {{}, rate, 0.0},
                                     {{}, projector_rate, optimizer.weight_decay},
                                     {{}, projector_rate, 0.0}};
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const size_t own_rate = projector_rate != rate && PartOf(item.key()) == ModelPart::kProjector ? 2 : 0;
    groups[own_rate + (item.value().dim() >= 2 ? 0 : 1)].parameters.emplace_back(item.key(), item.value());
  }
  std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters.empty(); });
  return groups;
}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam,
                     ProcessGroup& processes, UpdateSharing sharing)
    : adam_(adam),
      gradients_(std::make_unique<GradientBuckets>(groups, processes, sharing)),
      has_copies_(HasCopies(groups)) {
  MakeMoments();
}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam)
    : Optimizer(groups, adam, ProcessGroup::Alone()) {}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, const AdamOptions& adam,
                     std::unique_ptr<ProcessGroup> alone)
    : adam_(adam),
      alone_(std::move(alone)),
      gradients_(std::make_unique<GradientBuckets>(groups, *alone_, UpdateSharing::kReplicated)),
      has_copies_(HasCopies(groups)) {
  MakeMoments();
}

void Optimizer::MakeMoments() {
  for (const ParameterGroup& group : gradients_->own_groups()) {
    for (const auto& [name, parameter] : group.parameters) {
      const torch::Tensor value = parameter.detach();
      const bool wide = value.scalar_type() == torch::kFloat32;
      const auto zeros = [&] { return torch::zeros(value.sizes(), torch::kFloat32); };
      moments_[name] = {zeros(), zeros(), wide ? value : value.to(torch::kFloat32)};
    }
  }
}

std::vector<std::string> Optimizer::Kinds() const {
  std::vector<std::string> kinds{kAverage, kSquare};
  if (has_copies_) kinds.push_back(kMaster);
  return kinds;
}

void Optimizer::StepParameter(const torch::Tensor& parameter, Moments& moments, double rate, double decay) {
  const torch::Tensor gradient = parameter.grad();
  const double correction1 = 1 - std::pow(adam_.beta1, steps_),
               correction2 = 1 - std::pow(adam_.beta2, steps_);
  torch::Tensor& master = moments.master;
  if (decay != 0) master.mul_(1 - rate * decay);
  moments.average.mul_(adam_.beta1).add_(gradient, 1 - adam_.beta1);
  moments.square.mul_(adam_.beta2).addcmul_(gradient, gradient, 1 - adam_.beta2);
  const torch::Tensor denominator = (moments.square.sqrt() / std::sqrt(correction2)).add_(adam_.epsilon);
  master.addcdiv_(moments.average, denominator, -rate / correction1);
  if (parameter.scalar_type() != torch::kFloat32) torch::Tensor(parameter.detach()).copy_(master);
}

double Optimizer::Step(double factor, double clip) {
  const torch::NoGradGuard no_gradients;
  const double norm = gradients_->Clip(clip);
  if (!std::isfinite(norm)) return norm;
  ++steps_;
  for (const ParameterGroup& group : gradients_->own_groups()) {
    for (const auto& [name, parameter] : group.parameters) {
      if (!parameter.grad().defined()) continue;
      StepParameter(parameter, moments_.at(name), group.learning_rate * factor, group.weight_decay);
    }
  }
  gradients_->ShareUpdates();
  return norm;
}

GradientBuckets::StateStream Optimizer::State() const {
  NamedTensors own;
  for (const auto& [name, moments] : moments_) {
    own[Key(name, kAverage)] = moments.average;
    own[Key(name, kSquare)] = moments.square;
    if (has_copies_) own[Key(name, kMaster)] = moments.master;
  }
  return {*gradients_, std::move(own), Kinds()};
}

Status Optimizer::Load(const NamedTensors& state, int64_t steps) {
  MVLM_ASSIGN(const NamedTensors own, gradients_->OwnState(state, Kinds()));
  const torch::NoGradGuard no_gradients;
  for (auto& [name, moments] : moments_) {
    moments.average.copy_(own.at(Key(name, kAverage)));
    moments.square.copy_(own.at(Key(name, kSquare)));
    if (has_copies_) moments.master.copy_(own.at(Key(name, kMaster)));
  }
  steps_ = steps;
  return {};
}

}  // namespace mobilevlm::train
