#include "train/checkpoint.h"

#include <cstring>

#include "base/check.h"
#include "train/runlog/checkpoint_directory.h"

namespace mobilevlm::train {
namespace {

DType FileType(const torch::Tensor& tensor) {
  if (tensor.scalar_type() == torch::kFloat32) return DType::kF32;
  if (tensor.scalar_type() == torch::kBFloat16) return DType::kBF16;
  MVLM_CHECK(tensor.scalar_type() == torch::kHalf, "a tensor of type {}",
             torch::toString(tensor.scalar_type()));
  return DType::kF16;
}

Status Pour(const torch::Tensor& tensor, const StreamedTensor::ByteSink& sink) {
  const torch::Tensor dense = tensor.detach().contiguous();
  return sink({static_cast<const std::byte*>(dense.data_ptr()), dense.nbytes()});
}

const std::map<std::string, std::string> kFormat = {{"format", "pt"}};

}  // namespace

torch::Dtype TorchType(DType type) {
  MVLM_CHECK(type == DType::kF32 || type == DType::kBF16 || type == DType::kF16,
             "{} is no type of weights here", DTypeName(type));
  return type == DType::kF32 ? torch::kFloat32 : type == DType::kBF16 ? torch::kBFloat16 : torch::kHalf;
}

Status WriteTensors(const std::string& path, const NamedTensors& tensors) {
  std::vector<StreamedTensor> streamed;
  for (const auto& [name, tensor] : tensors) {
    streamed.push_back(
        {name,
         FileType(tensor),
         {tensor.sizes().begin(), tensor.sizes().end()},
         [&value = tensor](const StreamedTensor::ByteSink& sink) { return Pour(value, sink); }});
  }
  return WriteSafetensors(path, streamed, kFormat);
}

Status WriteOptimizer(const std::string& path, GradientBuckets::StateStream& state) {
  std::vector<StreamedTensor> streamed;
  for (const auto& entry : state.entries()) {  // all of one type, so written in this order
    streamed.push_back({entry.name,
                        DType::kF32,
                        {entry.shape.begin(), entry.shape.end()},
                        [&](const StreamedTensor::ByteSink& sink) { return Pour(state.Next(), sink); }});
  }
  return WriteSafetensors(path, streamed, kFormat);
}

Result<TensorFile> ReadTensors(const std::string& path) {
  MVLM_ASSIGN(SafetensorsFile file, SafetensorsFile::Open(path));
  NamedTensors tensors;
  for (const NamedTensor& tensor : file.tensors()) {
    const std::vector<int64_t> shape(tensor.shape.begin(), tensor.shape.end());
    void* data = const_cast<std::byte*>(tensor.data.data());  // only read
    const torch::Tensor mapped = torch::from_blob(data, shape, TorchType(tensor.type));
    const bool aligned = reinterpret_cast<uintptr_t>(data) % mapped.element_size() == 0;
    if (!aligned) {
      torch::Tensor copy = torch::empty(shape, mapped.options());
      std::memcpy(copy.data_ptr(), data, tensor.data.size());
      tensors[tensor.name] = copy;
    } else {
      tensors[tensor.name] = mapped;
    }
  }
  return TensorFile{std::move(file), std::move(tensors)};
}

Result<TensorFile> ReadStageWeights(const std::string& stage_directory) {
  const auto latest = LatestCheckpoint(stage_directory);
  if (!latest)
    return Fail("{}: no checkpoint; the stage before this one has not been trained", stage_directory);
  return ReadTensors(latest->path + "/model.safetensors");
}

NamedTensors ModuleTensors(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) tensors[prefix + item.key()] = item.value();
  return tensors;
}

NamedTensors TrainedTensors(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors tensors;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad()) tensors[prefix + item.key()] = item.value();
  }
  return tensors;
}

Status LoadModule(torch::nn::Module& module, const NamedTensors& tensors, const std::string& prefix,
                  bool trained_only) {
  torch::NoGradGuard guard;
  for (auto& item : module.named_parameters()) {
    if (trained_only && !item.value().requires_grad()) continue;
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
