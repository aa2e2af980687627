// Tensors of a training run in safetensors files, and modules filled from them.
#pragma once

#include <torch/torch.h>

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "train/optim.h"

namespace mobilevlm::train {

// F32, BF16, F16; another one aborts.
torch::Dtype TorchType(DType type);

// float32, bfloat16 and half tensors keep their type; others abort. Written atomically.
Status WriteTensors(const std::string& path, const NamedTensors& tensors);

// Of rank 0: the optimizer's state as it comes (the others Finish() theirs).
Status WriteOptimizer(const std::string& path, GradientBuckets::StateStream& state);

// Tensors that lie in the mapped file: read them, do not write them.
struct TensorFile {
  SafetensorsFile file;
  NamedTensors tensors;
};
Result<TensorFile> ReadTensors(const std::string& path);

// The weights in the newest checkpoint of a stage's directory; without one an Error.
Result<TensorFile> ReadStageWeights(const std::string& stage_directory);

// The module's parameters under prefix + name (shared storage, not copies).
NamedTensors ModuleTensors(const torch::nn::Module& module, const std::string& prefix);
// Only those that are trained.
NamedTensors TrainedTensors(const torch::nn::Module& module, const std::string& prefix);
// Copies the tensors named prefix + name into the module; every parameter (or every trained one) must be
// there with its shape.
Status LoadModule(torch::nn::Module& module, const NamedTensors& tensors, const std::string& prefix,
                  bool trained_only = false);
// The entries whose name starts with `prefix`, without it.
NamedTensors WithoutPrefix(const NamedTensors& tensors, const std::string& prefix);

}  // namespace mobilevlm::train
