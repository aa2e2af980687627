#include "tensor/dequantize.h"

#include <cstring>

#include "base/check.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

void Decode(const BlockQ4_0& block, float* out) {
  const float d = F16ToF32(block.d);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) - 8);
  }
}

void Decode(const BlockQ4_1& block, float* out) {
  const float d = F16ToF32(block.d);
  const float m = F16ToF32(block.m);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(block.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(block.qs[i] >> 4) + m;
  }
}

// The fifth bit of element i, in its place.
int FifthBit(const uint8_t (&qh)[4], size_t i) { return ((qh[i / 8] >> (i % 8)) & 1) << 4; }

void Decode(const BlockQ5_0& block, float* out) {
  const float d = F16ToF32(block.d);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(((block.qs[i] & 15) | FifthBit(block.qh, i)) - 16);
    out[i + 16] = d * static_cast<float>(((block.qs[i] >> 4) | FifthBit(block.qh, i + 16)) - 16);
  }
}

void Decode(const BlockQ5_1& block, float* out) {
  const float d = F16ToF32(block.d);
  const float m = F16ToF32(block.m);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block.qs[i] & 15) | FifthBit(block.qh, i)) + m;
    out[i + 16] = d * static_cast<float>((block.qs[i] >> 4) | FifthBit(block.qh, i + 16)) + m;
  }
}

void Decode(const BlockQ8_0& block, float* out) {
  const float d = F16ToF32(block.d);
  for (size_t i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

// Element i of the 2-bit plane that Q2_K and Q3_K share.
int TwoBits(const uint8_t (&qs)[64], size_t i) {
  return (qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
}

void Decode(const BlockQ2_K& block, float* out) {
  const float d = F16ToF32(block.d);
  const float dmin = F16ToF32(block.dmin);
  for (size_t i = 0; i < 256; ++i) {
    const uint8_t packed = block.scales[i / 16];
    const float scale = d * static_cast<float>(packed & 15);
    const float min = dmin * static_cast<float>(packed >> 4);
    out[i] = scale * static_cast<float>(TwoBits(block.qs, i)) - min;
  }
}

void Decode(const BlockQ3_K& block, float* out) {
  const float d = F16ToF32(block.d);
  for (size_t i = 0; i < 256; ++i) {
    const float scale = d * static_cast<float>(UnpackScaleQ3_K(block.scales, i / 16));
    const int third_bit = ((block.hmask[i % 32] >> (i / 32)) & 1) << 2;
    out[i] = scale * static_cast<float>((TwoBits(block.qs, i) | third_bit) - 4);
  }
}

// The nibble of element i of Q4_K and Q5_K.
int Nibble(const uint8_t (&qs)[128], size_t i) {
  return (qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15;
}

void Decode(const BlockQ4_K& block, float* out) {
  const float d = F16ToF32(block.d);
  const float dmin = F16ToF32(block.dmin);
  for (size_t s = 0; s < 8; ++s) {
    const ScaleMin packed = UnpackScaleMin(block.scales, s);
    const float scale = d * static_cast<float>(packed.scale);
    const float min = dmin * static_cast<float>(packed.min);
    for (size_t i = 32 * s; i < 32 * s + 32; ++i) {
      out[i] = scale * static_cast<float>(Nibble(block.qs, i)) - min;
    }
  }
}

void Decode(const BlockQ5_K& block, float* out) {
  const float d = F16ToF32(block.d);
  const float dmin = F16ToF32(block.dmin);
  for (size_t s = 0; s < 8; ++s) {
    const ScaleMin packed = UnpackScaleMin(block.scales, s);
    const float scale = d * static_cast<float>(packed.scale);
    const float min = dmin * static_cast<float>(packed.min);
    for (size_t i = 32 * s; i < 32 * s + 32; ++i) {
      const int fifth_bit = ((block.qh[i % 32] >> s) & 1) << 4;
      out[i] = scale * static_cast<float>(Nibble(block.qs, i) | fifth_bit) - min;
    }
  }
}

void Decode(const BlockQ6_K& block, float* out) {
  const float d = F16ToF32(block.d);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;
    const size_t part = i % 128 / 32;
    const int low = (block.ql[64 * half + 32 * (part % 2) + i % 32] >> (part / 2 * 4)) & 15;
    const int high = (block.qh[32 * half + i % 32] >> (2 * part)) & 3;
    out[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>((low | high << 4) - 32);
  }
}

void Decode(const f16_t& half, float* out) { *out = F16ToF32(half); }

template <class Block>
void DecodeAll(const void* bytes, size_t n, size_t block_size, float* out) {
  const auto* at = static_cast<const unsigned char*>(bytes);
  for (size_t i = 0; i < n; i += block_size, at += sizeof(Block)) {
    Block block;
    std::memcpy(&block, at, sizeof(block));
    Decode(block, out + i);
  }
}

void WidenBf16(const void* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    bf16_t bits;
    std::memcpy(&bits, static_cast<const unsigned char*>(bytes) + 2 * i, sizeof(bits));
    out[i] = Bf16ToF32(bits);
  }
}

}  // namespace

ScaleMin UnpackScaleMin(const uint8_t (&scales)[12], size_t s) {
  if (s < 4) {
    return {static_cast<uint8_t>(scales[s] & 63), static_cast<uint8_t>(scales[s + 4] & 63)};
  }
  return {static_cast<uint8_t>((scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4),
          static_cast<uint8_t>((scales[s + 4] >> 4) | (scales[s] >> 6) << 4)};
}

int UnpackScaleQ3_K(const uint8_t (&scales)[12], size_t s) {
  const int low = (scales[s % 8] >> (s / 8 * 4)) & 15;
  const int high = (scales[8 + s % 4] >> (s / 4 * 2)) & 3;
  return (low | high << 4) - 32;
}

void Dequantize(DType type, const void* bytes, size_t n, float* out) {
  const size_t block = GetDTypeInfo(type).block_size;
  MVLM_CHECK(n % block == 0, "{} elements of {}", n, DTypeName(type));
  if (n == 0) return;
  switch (type) {
    case DType::kF32:
      std::memcpy(out, bytes, n * sizeof(float));
      return;
    case DType::kF16:
      return DecodeAll<f16_t>(bytes, n, block, out);
    case DType::kBF16:
      return WidenBf16(bytes, n, out);
    case DType::kQ4_0:
      return DecodeAll<BlockQ4_0>(bytes, n, block, out);
    case DType::kQ4_1:
      return DecodeAll<BlockQ4_1>(bytes, n, block, out);
    case DType::kQ5_0:
      return DecodeAll<BlockQ5_0>(bytes, n, block, out);
    case DType::kQ5_1:
      return DecodeAll<BlockQ5_1>(bytes, n, block, out);
    case DType::kQ8_0:
      return DecodeAll<BlockQ8_0>(bytes, n, block, out);
    case DType::kQ2_K:
      return DecodeAll<BlockQ2_K>(bytes, n, block, out);
    case DType::kQ3_K:
      return DecodeAll<BlockQ3_K>(bytes, n, block, out);
    case DType::kQ4_K:
      return DecodeAll<BlockQ4_K>(bytes, n, block, out);
    case DType::kQ5_K:
      return DecodeAll<BlockQ5_K>(bytes, n, block, out);
    case DType::kQ6_K:
      return DecodeAll<BlockQ6_K>(bytes, n, block, out);
  }
  MVLM_CHECK(false, "type number {}", static_cast<uint32_t>(type));
}

std::vector<float> DequantizeTensor(DType type, std::span<const std::byte> data) {
  const DTypeInfo& info = GetDTypeInfo(type);
  MVLM_CHECK(data.size() % info.block_bytes == 0, "{} bytes of {}", data.size(), info.name);
  std::vector<float> values(data.size() / info.block_bytes * info.block_size);
  Dequantize(type, data.data(), values.size(), values.data());
  return values;
}

}  // namespace mobilevlm
