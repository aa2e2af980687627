#include "convert/element_types.h"

#include <cmath>
#include <limits>

#include "base/check.h"
#include "quantize/encode.h"

namespace mobilevlm {
namespace {

constexpr float kMaxF16 = 65504.0f;

// The largest magnitude of one value that `type` can hold next to any other values.
float Limit(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kBF16:
      return std::numeric_limits<float>::max();
    case DType::kQ8_0:
      return kMaxF16 * 127;  // the scale is an F16
    default:
      return kMaxF16;  // blocks hold at least their scale
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
  Encode(type, values.data(), values.size(), nullptr, bytes.data());
  return bytes;
}

}  // namespace mobilevlm
