#include "convert/element_types.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "convert/quantize_q8_0.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

constexpr float kMaxF16 = 65504.0f;

// The largest magnitude of one value that `type` can hold next to any other values.
float Limit(DType type) {
  switch (type) {
    case DType::kF16:
      return kMaxF16;
    case DType::kQ8_0:
      return kMaxF16 * 127;  // the scale is an F16
    default:
      return std::numeric_limits<float>::max();
  }
}

}  // namespace

Result<std::vector<std::byte>> EncodeTensor(DType type, std::span<const float> values,
                                            const std::string& name) {
  const float limit = Limit(type);
  for (const float value : values) {
    if (!(std::fabs(value) <= limit)) {  // NaN too
      return Fail("{}: the value {} cannot be stored as {}", name, value, DTypeName(type));
    }
  }
  const auto size = RowBytes(type, values.size());
  MVLM_CHECK(size.has_value(), "{}: {} values as {}", name, values.size(), DTypeName(type));
  std::vector<std::byte> bytes(*size);
  switch (type) {
    case DType::kF32:
      std::memcpy(bytes.data(), values.data(), bytes.size());
      break;
    case DType::kF16:
      for (size_t i = 0; i < values.size(); ++i) {
        const f16_t half = F32ToF16(values[i]);
        std::memcpy(bytes.data() + 2 * i, &half, 2);
      }
      break;
    case DType::kQ8_0:
      for (size_t i = 0; i < values.size(); i += 32) {
        const BlockQ8_0 block = QuantizeBlockQ8_0(values.subspan(i).first<32>());
        std::memcpy(bytes.data() + i / 32 * sizeof(block), &block, sizeof(block));
      }
      break;
    default:
      MVLM_CHECK(false, "{}: encoding as {}", name, DTypeName(type));
  }
  return bytes;
}

}  // namespace mobilevlm
