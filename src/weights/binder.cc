#include "weights/binder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "ops/float_panels.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

// What one thread packs at a time, about.
constexpr size_t kBytesPerItem = 256 * 1024;

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
  weights.out = tensors_.Outputs(name);
  weights.in = tensor.elements() / weights.out;
  weights.row_bytes = tensor.data.size() / weights.out;
  return weights;
}

const std::byte* WeightBinder::Pack(const GgufTensor& tensor, size_t panels, size_t panel_bytes,
                                    const Packer& pack) {
  const size_t bytes = panels * panel_bytes;
  std::byte* packed = store_->Packed(bytes);
  if (packed == nullptr) {
    status_ = Fail("{}: tensor {}: cannot get {} bytes of memory", file_->path(), tensor.name, bytes);
    return nullptr;
  }
  const size_t items = std::max<size_t>(1, bytes / kBytesPerItem);
  const auto item = [&](size_t i) { pack(i * panels / items, (i + 1) * panels / items, packed); };
  pool_->ParallelFor(items, std::ref(item));
  file_->ReleasePages(tensor);
  return packed;
}

LinearWeights WeightBinder::Matrix(const std::string& name) {
  LinearWeights w = Table(name);
  w.may_split = may_split_;
  if (!status_) return w;
  const GgufTensor& tensor = tensors_.Get(name);
  if (const std::optional<PackedFormat> format = FindPackedFormat(w.type, w.in, scales_)) {
    w.packed = Pack(tensor, PackedPanels(w.out), PanelBytes(*format, w.in),
                    [&](size_t begin, size_t end, std::byte* packed) {
                      PackPanels(*format, w.data, w.row_bytes, w.out, w.in, begin, end, packed);
                    });
    w.format = *format;
  } else if (pack_floats_) {
    w.panels = Pack(tensor, FloatPanels(w.out), w.in * FloatPanelStep(w.type),
                    [&](size_t begin, size_t end, std::byte* packed) {
                      PackFloatPanels(w.type, w.data, w.row_bytes, w.out, w.in, begin, end, packed);
                    });
  }
  return w;
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
