// Training checkpoints: named tensors and strings in one file, readable with Python's torch.load too
// (a tuple of two dictionaries). Written to a temporary name and renamed, so a crash keeps the last one.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "base/result.h"
#include "train/optim.h"

namespace mobilevlm::train {

struct Checkpoint {
  NamedTensors tensors;
  std::map<std::string, std::string> meta;
};

Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint);
Result<Checkpoint> ReadCheckpoint(const std::string& path);

// All tensors of a safetensors file as float32: weights of a Hugging Face directory to start from.
Result<NamedTensors> ReadSafetensors(const std::string& path);

// The module's parameters under prefix + name (shared storage, not copies).
NamedTensors ModuleTensors(const torch::nn::Module& module, const std::string& prefix);
// Copies the tensors named prefix + name into the module; every parameter must be there with its shape.
Status LoadModule(torch::nn::Module& module, const NamedTensors& tensors, const std::string& prefix);
// The entries whose name starts with `prefix`, without it.
NamedTensors WithoutPrefix(const NamedTensors& tensors, const std::string& prefix);

}  // namespace mobilevlm::train
