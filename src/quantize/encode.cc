#include "quantize/encode.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "quantize/encode_blocks.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

// What the error of each element of a block counts: the importance of its column, and more where the weight
// itself is large. Importances alone say what matters on average; errors of large weights are those that the
// rest of the row does not make up for. Measured in docs/quantize.md.
template <size_t kSize>
void WeighElements(const float* x, const float* importance, float (&weights)[kSize]) {
  float squares = 0;
  for (size_t i = 0; i < kSize; ++i) squares += x[i] * x[i];
  const float mean_square = squares / static_cast<float>(kSize);
  for (size_t i = 0; i < kSize; ++i) weights[i] = importance[i] * std::sqrt(mean_square + x[i] * x[i]);
}

// One block after the other; a block without importances gets ones.
template <class Block, size_t kSize>
void EncodeAll(const float* x, size_t n, const float* importance, std::byte* out) {
  float weights[kSize];
  for (float& weight : weights) weight = 1;
  for (size_t i = 0; i < n; i += kSize, out += sizeof(Block)) {
    Block block;
    if (importance != nullptr) WeighElements<kSize>(x + i, importance + i, weights);
    EncodeBlock(x + i, weights, block);
    std::memcpy(out, &block, sizeof(block));
  }
}

template <uint16_t (*kNarrow)(float)>
void NarrowAll(const float* x, size_t n, std::byte* out) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t bits = kNarrow(x[i]);
    std::memcpy(out + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace

void Encode(DType type, const float* x, size_t n, const float* importance, std::byte* out) {
  MVLM_CHECK(n % GetDTypeInfo(type).block_size == 0, "{} elements of {}", n, DTypeName(type));
  switch (type) {
    case DType::kF32:
      if (n > 0) std::memcpy(out, x, n * sizeof(float));
      return;
    case DType::kF16:
      return NarrowAll<F32ToF16>(x, n, out);
    case DType::kBF16:
      return NarrowAll<F32ToBf16>(x, n, out);
    case DType::kQ4_0:
      return EncodeAll<BlockQ4_0, 32>(x, n, importance, out);
    case DType::kQ4_1:
      return EncodeAll<BlockQ4_1, 32>(x, n, importance, out);
    case DType::kQ5_0:
      return EncodeAll<BlockQ5_0, 32>(x, n, importance, out);
    case DType::kQ5_1:
      return EncodeAll<BlockQ5_1, 32>(x, n, importance, out);
    case DType::kQ8_0:
      return EncodeAll<BlockQ8_0, 32>(x, n, importance, out);
    case DType::kQ2_K:
      return EncodeAll<BlockQ2_K, 256>(x, n, importance, out);
    case DType::kQ3_K:
      return EncodeAll<BlockQ3_K, 256>(x, n, importance, out);
    case DType::kQ4_K:
      return EncodeAll<BlockQ4_K, 256>(x, n, importance, out);
    case DType::kQ5_K:
      return EncodeAll<BlockQ5_K, 256>(x, n, importance, out);
    case DType::kQ6_K:
      return EncodeAll<BlockQ6_K, 256>(x, n, importance, out);
  }
  MVLM_CHECK(false, "type number {}", static_cast<uint32_t>(type));
}

}  // namespace mobilevlm
