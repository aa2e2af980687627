#include "weights/binder.h"

#include <utility>

#include "tensor/dequantize.h"

namespace mobilevlm {

Result<WeightBinder> WeightBinder::Create(const GgufFile& file, std::span<const TensorSpec> specs,
                                          FloatStore* store) {
  MVLM_ASSIGN(TensorMap tensors, TensorMap::Bind(file, specs));
  return WeightBinder(file, std::move(tensors), store);
}

bool WeightBinder::Readable(const GgufTensor& tensor) {
  if (IsLinearType(tensor.type)) return true;
  if (status_) {
    status_ = Fail("{}: tensor {}: type {} cannot be run, wanted F32, F16, BF16 or Q8_0", path_, tensor.name,
                   DTypeName(tensor.type));
  }
  return false;
}

LinearWeights WeightBinder::Matrix(const std::string& name) {
  const GgufTensor& tensor = tensors_.Get(name);
  if (!Readable(tensor)) return {};
  LinearWeights weights;
  weights.type = tensor.type;
  weights.data = tensor.data.data();
  weights.out = tensor.shape[0];
  weights.in = tensor.elements() / weights.out;
  weights.row_bytes = tensor.data.size() / weights.out;
  return weights;
}

LinearWeights WeightBinder::MatrixAndBias(const std::string& name) {
  LinearWeights weights = Matrix(name + ".weight");
  weights.bias = Floats(name + ".bias").data();
  return weights;
}

std::span<const float> WeightBinder::Floats(const std::string& name) {
  const GgufTensor& tensor = tensors_.Get(name);
  const size_t count = tensor.elements();
  float* values = store_->emplace_back().Reserve(count);
  Dequantize(tensor.type, tensor.data.data(), count, values);
  return {values, count};
}

Mat<const float> WeightBinder::FloatMatrix(const std::string& name, size_t rows) {
  const std::span<const float> values = Floats(name);
  return {values.data(), rows, values.size() / rows};
}

NormWeights WeightBinder::Norm(const std::string& name) {
  return {.gamma = Floats(name + ".weight"), .beta = Floats(name + ".bias")};
}

}  // namespace mobilevlm
