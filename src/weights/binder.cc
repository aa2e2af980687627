#include "weights/binder.h"

#include <functional>
#include <utility>

#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

// Panels that one thread packs at a time.
constexpr size_t kPanelsPerItem = 8;

}  // namespace

Result<WeightBinder> WeightBinder::Create(const GgufFile& file, std::span<const TensorSpec> specs,
                                          WeightStore* store, ThreadPool* pool, PackScales scales) {
  MVLM_ASSIGN(TensorMap tensors, TensorMap::Bind(file, specs));
  return WeightBinder(file, std::move(tensors), store, pool, scales);
}

LinearWeights WeightBinder::Table(const std::string& name) {
  const GgufTensor& tensor = tensors_.Get(name);
  LinearWeights weights;
  weights.type = tensor.type;
  weights.data = tensor.data.data();
  weights.out = tensor.shape[0];
  weights.in = tensor.elements() / weights.out;
  weights.row_bytes = tensor.data.size() / weights.out;
  return weights;
}

LinearWeights WeightBinder::Matrix(const std::string& name) {
  LinearWeights weights = Table(name);
  weights.may_split = may_split_;
  const std::optional<PackedFormat> format = FindPackedFormat(weights.type, weights.in, scales_);
  if (!format || !status_) return weights;
  const size_t panels = PackedPanels(weights.out);
  const size_t bytes = panels * PanelBytes(*format, weights.in);
  std::byte* packed = store_->Packed(bytes);
  if (packed == nullptr) {
    status_ =
        Fail("{}: tensor {}: cannot get {} bytes of memory", file_->path(), tensors_.Get(name).name, bytes);
    return weights;
  }
  const auto pack = [&](size_t item) {
    const size_t begin = item * kPanelsPerItem, end = std::min(panels, begin + kPanelsPerItem);
    PackPanels(*format, weights.data, weights.row_bytes, weights.out, weights.in, begin, end, packed);
  };
  pool_->ParallelFor((panels + kPanelsPerItem - 1) / kPanelsPerItem, std::ref(pack));
  file_->ReleasePages(tensors_.Get(name));
  weights.packed = packed;
  weights.format = *format;
  return weights;
}

LinearWeights WeightBinder::MatrixAndBias(const std::string& name) {
  LinearWeights weights = Matrix(name + ".weight");
  weights.bias = Floats(name + ".bias").data();
  return weights;
}

std::span<const float> WeightBinder::Floats(const std::string& name) {
  const GgufTensor& tensor = tensors_.Get(name);
  const std::span<float> values = store_->Floats(tensor.elements());
  Dequantize(tensor.type, tensor.data.data(), values.size(), values.data());
  return values;
}

Mat<const float> WeightBinder::FloatMatrix(const std::string& name, size_t rows) {
  const std::span<const float> values = Floats(name);
  return {values.data(), rows, values.size() / rows};
}

NormWeights WeightBinder::Norm(const std::string& name) {
  return {.gamma = Floats(name + ".weight"), .beta = Floats(name + ".bias")};
}

}  // namespace mobilevlm
