// The formats with one scale per 32 elements.
#include <cmath>

#include "quantize/encode_blocks.h"
#include "quantize/fit.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

using fit::Offset;

// Elements i and i + 16 share byte i.
void PackNibbles(const float* q, uint8_t (&qs)[16]) {
  for (size_t i = 0; i < 16; ++i) {
    const int low = static_cast<int>(q[i]);
    const int high = static_cast<int>(q[i + 16]);
    qs[i] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
  }
}

void PackFifthBits(const float* q, uint8_t (&qh)[4]) {
  for (size_t byte = 0; byte < 4; ++byte) {
    int bits = 0;
    for (size_t i = 0; i < 8; ++i) bits |= (static_cast<int>(q[8 * byte + i]) >> 4) << i;
    qh[byte] = static_cast<uint8_t>(bits);
  }
}

// The scale as stored, and q = the integers for it, moved to [0, 2 levels).
uint16_t EncodeSymmetric(const float* x, const float* w, float levels, float* q) {
  const uint16_t d = F32ToF16(fit::FitScale<32>(x, w, levels, -0.5f, 0.7f, 5));
  fit::Quantize<32>(x, F16ToF32(d), 0, -levels, levels - 1, q);
  for (size_t i = 0; i < 32; ++i) q[i] += levels;
  return d;
}

struct StoredAffine {
  uint16_t d;
  uint16_t m;
};

StoredAffine EncodeAffine(const float* x, const float* w, float levels, float* q) {
  const fit::Affine fit = fit::FitAffine<32>(x, w, levels, Offset::kFree, -0.6f, 0.6f, 8);
  const StoredAffine stored{F32ToF16(fit.scale), F32ToF16(fit.offset)};
  fit::Quantize<32>(x, F16ToF32(stored.d), F16ToF32(stored.m), 0, levels, q);
  return stored;
}

}  // namespace

void EncodeBlock(const float* x, const float* w, BlockQ4_0& block) {
  float q[32];
  block.d = EncodeSymmetric(x, w, 8, q);
  PackNibbles(q, block.qs);
}

void EncodeBlock(const float* x, const float* w, BlockQ4_1& block) {
  float q[32];
  const StoredAffine stored = EncodeAffine(x, w, 15, q);
  block.d = stored.d;
  block.m = stored.m;
  PackNibbles(q, block.qs);
}

void EncodeBlock(const float* x, const float* w, BlockQ5_0& block) {
  float q[32];
  block.d = EncodeSymmetric(x, w, 16, q);
  PackNibbles(q, block.qs);
  PackFifthBits(q, block.qh);
}

void EncodeBlock(const float* x, const float* w, BlockQ5_1& block) {
  float q[32];
  const StoredAffine stored = EncodeAffine(x, w, 31, q);
  block.d = stored.d;
  block.m = stored.m;
  PackNibbles(q, block.qs);
  PackFifthBits(q, block.qh);
}

// ggml's reference: the scale is rounded to a half only when stored, the quants come from the float scale,
// halves round away from zero.
void EncodeBlock(const float* x, const float* /*w*/, BlockQ8_0& block) {
  float amax = 0;
  for (size_t i = 0; i < 32; ++i) amax = std::fmax(amax, std::fabs(x[i]));
  const float d = amax / 127.0f;
  const float inverse = fit::Inverse(d);
  block.d = F32ToF16(d);
  for (size_t i = 0; i < 32; ++i) {
    const float scaled = x[i] * inverse;
    block.qs[i] = std::fabs(scaled) <= 127.5f ? static_cast<int8_t>(std::roundf(scaled)) : int8_t{0};
  }
}

}  // namespace mobilevlm
