// What optimizers, checkpoints and processes hand to each other: tensors with names.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mobilevlm::train {

using NamedTensors = std::map<std::string, torch::Tensor>;

struct ParameterGroup {
  std::vector<std::pair<std::string, torch::Tensor>> parameters;
  double learning_rate = 0;
  double weight_decay = 0;
};

}  // namespace mobilevlm::train
