#include "train/checkpoint.h"

#include <cstring>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "checkpoint/safetensors.h"

namespace mobilevlm::train {
namespace {

constexpr uint64_t kLargestFile = uint64_t{64} << 30;

}  // namespace

Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint) {
  try {
    c10::Dict<std::string, torch::Tensor> tensors;
    for (const auto& [name, tensor] : checkpoint.tensors) tensors.insert(name, tensor.detach().contiguous());
    c10::Dict<std::string, std::string> meta;
    for (const auto& [key, value] : checkpoint.meta) meta.insert(key, value);
    const std::vector<char> bytes = torch::pickle_save(c10::ivalue::Tuple::create({tensors, meta}));
    return WriteFileAtomically(path, {bytes.data(), bytes.size()});
  } catch (const std::exception& error) {
    return Fail("{}: cannot write the checkpoint: {}", path, error.what());
  }
}

Result<Checkpoint> ReadCheckpoint(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestFile));
  try {
    const c10::IValue value = torch::pickle_load({text.begin(), text.end()});
    const auto& parts = value.toTupleRef().elements();
    Checkpoint checkpoint;
    for (const auto& item : parts.at(0).toGenericDict()) {
      checkpoint.tensors[item.key().toStringRef()] = item.value().toTensor();
    }
    for (const auto& item : parts.at(1).toGenericDict()) {
      checkpoint.meta[item.key().toStringRef()] = item.value().toStringRef();
    }
    return checkpoint;
  } catch (const std::exception& error) {
    return Fail("{}: not a training checkpoint", path);
  }
}

Result<NamedTensors> ReadSafetensors(const std::string& path) {
  MVLM_ASSIGN(const SafetensorsFile file, SafetensorsFile::Open(path));
  NamedTensors tensors;
  for (const NamedTensor& tensor : file.tensors()) {
    const auto type = tensor.type == DType::kF32   ? torch::kFloat32
                      : tensor.type == DType::kF16 ? torch::kHalf
                                                   : torch::kBFloat16;
    const std::vector<int64_t> shape(tensor.shape.begin(), tensor.shape.end());
    torch::Tensor value = torch::empty(shape, type);
    std::memcpy(value.data_ptr(), tensor.data.data(), tensor.data.size());  // the file may be unaligned
    tensors[tensor.name] = value.to(torch::kFloat32);
  }
  return tensors;
}

NamedTensors ModuleTensors(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) tensors[prefix + item.key()] = item.value();
  return tensors;
}

Status LoadModule(torch::nn::Module& module, const NamedTensors& tensors, const std::string& prefix) {
  torch::NoGradGuard guard;
  for (auto& item : module.named_parameters()) {
    const auto found = tensors.find(prefix + item.key());
    if (found == tensors.end()) return Fail("no tensor '{}'", prefix + item.key());
    if (found->second.sizes() != item.value().sizes()) {
      return Fail("tensor '{}': wanted shape {}, found {}", prefix + item.key(),
                  c10::str(item.value().sizes()), c10::str(found->second.sizes()));
    }
    item.value().copy_(found->second);
  }
  return {};
}

NamedTensors WithoutPrefix(const NamedTensors& tensors, const std::string& prefix) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) result[name.substr(prefix.size())] = tensor;
  }
  return result;
}

}  // namespace mobilevlm::train
