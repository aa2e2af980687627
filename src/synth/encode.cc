#include "synth/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};
constexpr size_t kBlock = 32;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

void PutHalf(std::byte* out, float value) {
  const f16_t half = F32ToF16(value);
  std::memcpy(out, &half, sizeof(half));
}

// x = d q, q in [-127, 127].
void EncodeQ8_0(const float* x, std::byte* out) {
  float most = 0;
  for (size_t i = 0; i < kBlock; ++i) most = std::max(most, std::fabs(x[i]));
  const float d = most / 127;
  PutHalf(out, d);
  for (size_t i = 0; i < kBlock; ++i) {
    const long q = d == 0 ? 0 : std::lround(x[i] / d);
    out[2 + i] = static_cast<std::byte>(static_cast<int8_t>(q));
  }
}

// x = d (q - 8), q in [0, 15]; the value of largest magnitude gets q = 0, so d has the opposite sign. Byte i
// holds the elements i (low half) and i + 16.
void EncodeQ4_0(const float* x, std::byte* out) {
  float most = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    if (std::fabs(x[i]) > std::fabs(most)) most = x[i];
  }
  const float d = most / -8;
  PutHalf(out, d);
  const auto quantise = [d](float value) {
    return d == 0 ? 8u : static_cast<unsigned>(std::clamp(std::lround(value / d) + 8, 0L, 15L));
  };
  for (size_t i = 0; i < kBlock / 2; ++i) {
    out[2 + i] = static_cast<std::byte>(quantise(x[i]) | (quantise(x[i + kBlock / 2]) << 4));
  }
}

}  // namespace

Result<DType> ParseSynthType(std::string_view name) {
  for (const DType type : kTypes) {
    if (Lower(DTypeName(type)) == Lower(name)) return type;
  }
  return Fail("wanted a type of {}, found {}", SynthTypeNames(), name);
}

std::string SynthTypeNames() {
  std::string names;
  for (const DType type : kTypes) {
    if (!names.empty()) names += ", ";
    names += Lower(DTypeName(type));
  }
  return names;
}

std::vector<std::byte> EncodeBlocks(DType type, std::span<const float> values) {
  const auto size = RowBytes(type, values.size());
  MVLM_CHECK(size.has_value(), "{} values as {}", values.size(), DTypeName(type));
  std::vector<std::byte> bytes(*size);
  const DTypeInfo& info = GetDTypeInfo(type);
  std::byte* out = bytes.data();
  for (size_t i = 0; i < values.size(); i += info.block_size, out += info.block_bytes) {
    switch (type) {
      case DType::kF32:
        std::memcpy(out, &values[i], sizeof(float));
        break;
      case DType::kF16:
        PutHalf(out, values[i]);
        break;
      case DType::kBF16: {
        const bf16_t half = F32ToBf16(values[i]);
        std::memcpy(out, &half, sizeof(half));
        break;
      }
      case DType::kQ8_0:
        EncodeQ8_0(&values[i], out);
        break;
      case DType::kQ4_0:
        EncodeQ4_0(&values[i], out);
        break;
      default:
        MVLM_CHECK(false, "encoding as {}", info.name);
    }
  }
  return bytes;
}

}  // namespace mobilevlm
