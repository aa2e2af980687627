#include "checkpoint/named_tensor.h"

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"
#include "tensor/dequantize.h"

namespace mobilevlm {
namespace {

// Element by element, the last axis fastest.
void Gather(const NamedTensor& tensor, uint64_t first, size_t count, std::byte* out) {
  const size_t size = GetDTypeInfo(tensor.type).block_bytes;
  const size_t axes = tensor.shape.size();
  std::vector<uint64_t> at(axes);
  uint64_t offset = 0;
  for (size_t axis = axes; axis-- > 0;) {
    at[axis] = first % tensor.shape[axis];
    first /= tensor.shape[axis];
    offset += at[axis] * tensor.strides[axis];
  }
  for (size_t i = 0; i < count; ++i, out += size) {
    std::memcpy(out, tensor.data.data() + offset * size, size);
    for (size_t axis = axes; axis-- > 0;) {
      offset += tensor.strides[axis];
      if (++at[axis] < tensor.shape[axis]) break;
      offset -= tensor.shape[axis] * tensor.strides[axis];
      at[axis] = 0;
    }
  }
}

}  // namespace

uint64_t NamedTensor::elements() const {
  uint64_t count = 1;
  for (const uint64_t extent : shape) count *= extent;
  return count;
}

tl::unexpected<Error> NotReadable(const std::string& path, std::string_view name,
                                  std::span<const OtherTensor> others) {
  const auto same = [name](const OtherTensor& other) { return other.name == name; };
  const auto other = std::find_if(others.begin(), others.end(), same);
  if (other == others.end()) return Fail("{}: tensor {} is missing", path, name);
  return Fail("{}: tensor {}: wanted F32, F16 or BF16, found {}", path, name, other->dtype);
}

std::optional<uint64_t> DenseBytes(DType type, std::span<const uint64_t> shape) {
  std::optional<uint64_t> size = GetDTypeInfo(type).block_bytes;
  for (const uint64_t extent : shape) {
    if (size) size = CheckedMul(*size, extent);
  }
  return size;
}

void CopyElements(const NamedTensor& tensor, uint64_t first, size_t count, std::byte* out) {
  if (count == 0) return;
  if (!tensor.strides.empty()) return Gather(tensor, first, count, out);
  const size_t size = GetDTypeInfo(tensor.type).block_bytes;
  std::memcpy(out, tensor.data.data() + first * size, count * size);
}

void ReadElements(const NamedTensor& tensor, uint64_t first, size_t count, float* out) {
  const DTypeInfo& type = GetDTypeInfo(tensor.type);
  if (tensor.strides.empty()) {
    return Dequantize(tensor.type, tensor.data.data() + first / type.block_size * type.block_bytes, count,
                      out);
  }
  std::vector<std::byte> dense(count * type.block_bytes);
  Gather(tensor, first, count, dense.data());
  Dequantize(tensor.type, dense.data(), count, out);
}

}  // namespace mobilevlm
