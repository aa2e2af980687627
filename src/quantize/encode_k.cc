// The K formats: 256 elements in sub-blocks, whose scales (and offsets) are themselves small integers.
//
// Each sub-block is fitted alone; the super-block's half then makes the largest scale its largest integer;
// and the elements are rounded to the scales that are stored, not to the ones that were wished for.
#include <algorithm>
#include <cmath>

#include "quantize/encode_blocks.h"
#include "quantize/fit.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

using fit::Affine;
using fit::Offset;

constexpr size_t kElements = 256;

// value / unit as an integer in [low, high].
int NearestCode(float value, float inverse_unit, int low, int high) {
  const float code = std::nearbyint(value * inverse_unit);
  // The comparisons are false for NaN.
  if (!(code > static_cast<float>(low))) return low;
  if (!(code < static_cast<float>(high))) return high;
  return static_cast<int>(code);
}

// Calls try_code for `code` and its neighbours within [low, high]. The nearest code is not always the best
// one: rounding the scale moves every element, so what counts is the loss with each.
template <class Try>
void ForNeighbours(int code, int low, int high, const Try& try_code) {
  for (int c = std::max(code - 1, low); c <= std::min(code + 1, high); ++c) try_code(c);
}

// ---- x = d * scale * q - dmin * min ----

template <size_t kSubBlocks>
struct AffineBlock {
  uint16_t d;
  uint16_t dmin;
  int scale[kSubBlocks] = {};
  int min[kSubBlocks] = {};
  float q[kElements];  // 0..levels
};

template <size_t kSubBlocks>
void EncodeAffine(const float* x, const float* w, float levels, int max_code, float first, float last,
                  int candidates, AffineBlock<kSubBlocks>& out) {
  constexpr size_t kSize = kElements / kSubBlocks;
  Affine fits[kSubBlocks];
  float max_scale = 0;
  float max_min = 0;
  for (size_t s = 0; s < kSubBlocks; ++s) {
    fits[s] = fit::FitAffine<kSize>(x + s * kSize, w + s * kSize, levels, Offset::kNotPositive, first, last,
                                    candidates);
    max_scale = std::max(max_scale, fits[s].scale);
    max_min = std::max(max_min, -fits[s].offset);
  }
  out.d = F32ToF16(max_scale / static_cast<float>(max_code));
  out.dmin = F32ToF16(max_min / static_cast<float>(max_code));
  const float d = F16ToF32(out.d);
  const float dmin = F16ToF32(out.dmin);
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const float* xs = x + s * kSize;
    const int scale = NearestCode(fits[s].scale, fit::Inverse(d), 0, max_code);
    const int min = NearestCode(-fits[s].offset, fit::Inverse(dmin), 0, max_code);
    float least = HUGE_VALF;
    ForNeighbours(scale, 0, max_code, [&](int scale_code) {
      ForNeighbours(min, 0, max_code, [&](int min_code) {
        const float loss = fit::Loss<kSize>(xs, w + s * kSize, d * static_cast<float>(scale_code),
                                            -dmin * static_cast<float>(min_code), 0, levels);
        if (!(loss < least)) return;
        least = loss;
        out.scale[s] = scale_code;
        out.min[s] = min_code;
      });
    });
    fit::Quantize<kSize>(xs, d * static_cast<float>(out.scale[s]), -dmin * static_cast<float>(out.min[s]), 0,
                         levels, out.q + s * kSize);
  }
}

// The inverse of UnpackScaleMin.
void PackScaleMins(const AffineBlock<8>& from, uint8_t (&scales)[12]) {
  for (size_t s = 0; s < 4; ++s) {
    const int scale = from.scale[s + 4];
    const int min = from.min[s + 4];
    scales[s] = static_cast<uint8_t>(from.scale[s] | (scale >> 4) << 6);
    scales[s + 4] = static_cast<uint8_t>(from.min[s] | (min >> 4) << 6);
    scales[s + 8] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
  }
}

void PackNibbles(const float* q, uint8_t (&qs)[128]) {
  for (size_t g = 0; g < 4; ++g) {
    for (size_t l = 0; l < 32; ++l) {
      const int low = static_cast<int>(q[64 * g + l]);
      const int high = static_cast<int>(q[64 * g + 32 + l]);
      qs[32 * g + l] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
    }
  }
}

// The low two bits of q.
void PackTwoBits(const float* q, uint8_t (&qs)[64]) {
  for (size_t h = 0; h < 2; ++h) {
    for (size_t l = 0; l < 32; ++l) {
      int bits = 0;
      for (size_t p = 0; p < 4; ++p) bits |= (static_cast<int>(q[128 * h + 32 * p + l]) & 3) << (2 * p);
      qs[32 * h + l] = static_cast<uint8_t>(bits);
    }
  }
}

// Bit `bit` of every q: of element 32 g + l in bit g of plane[l].
void PackPlane(const float* q, int bit, uint8_t (&plane)[32]) {
  for (size_t l = 0; l < 32; ++l) {
    int bits = 0;
    for (size_t g = 0; g < 8; ++g) bits |= ((static_cast<int>(q[32 * g + l]) >> bit) & 1) << g;
    plane[l] = static_cast<uint8_t>(bits);
  }
}

// ---- x = d * scale * q, q in [-levels, levels - 1], scales signed ----

struct SymmetricBlock {
  uint16_t d;
  int scale[16] = {};
  float q[kElements];  // 0..2 levels - 1
};

void EncodeSymmetric(const float* x, const float* w, float levels, int max_code, float first, float last,
                     int candidates, SymmetricBlock& out) {
  float fits[16];
  float extreme = 0;
  for (size_t s = 0; s < 16; ++s) {
    fits[s] = fit::FitScale<16>(x + 16 * s, w + 16 * s, levels, first, last, candidates);
    if (std::fabs(fits[s]) > std::fabs(extreme)) extreme = fits[s];
  }
  // The largest scale takes the side with one code more.
  out.d = F32ToF16(extreme / static_cast<float>(-max_code));
  const float d = F16ToF32(out.d);
  for (size_t s = 0; s < 16; ++s) {
    const int scale = NearestCode(fits[s], fit::Inverse(d), -max_code, max_code - 1);
    float least = HUGE_VALF;
    ForNeighbours(scale, -max_code, max_code - 1, [&](int code) {
      const float loss =
          fit::Loss<16>(x + 16 * s, w + 16 * s, d * static_cast<float>(code), 0, -levels, levels - 1);
      if (!(loss < least)) return;
      least = loss;
      out.scale[s] = code;
    });
    float* q = out.q + 16 * s;
    fit::Quantize<16>(x + 16 * s, d * static_cast<float>(out.scale[s]), 0, -levels, levels - 1, q);
    for (size_t i = 0; i < 16; ++i) q[i] += levels;
  }
}

}  // namespace

void EncodeBlock(const float* x, const float* w, BlockQ2_K& block) {
  AffineBlock<16> fit;
  EncodeAffine(x, w, 3, 15, -0.8f, 0.8f, 12, fit);
  block.d = fit.d;
  block.dmin = fit.dmin;
  for (size_t s = 0; s < 16; ++s) block.scales[s] = static_cast<uint8_t>(fit.scale[s] | fit.min[s] << 4);
  PackTwoBits(fit.q, block.qs);
}

void EncodeBlock(const float* x, const float* w, BlockQ3_K& block) {
  SymmetricBlock fit;
  EncodeSymmetric(x, w, 4, 32, -0.9f, 0.9f, 12, fit);
  block.d = fit.d;
  for (uint8_t& packed : block.scales) packed = 0;
  for (size_t s = 0; s < 16; ++s) {
    const int code = fit.scale[s] + 32;
    block.scales[s % 8] = static_cast<uint8_t>(block.scales[s % 8] | (code & 15) << (s / 8 * 4));
    block.scales[8 + s % 4] = static_cast<uint8_t>(block.scales[8 + s % 4] | (code >> 4) << (s / 4 * 2));
  }
  PackTwoBits(fit.q, block.qs);
  PackPlane(fit.q, 2, block.hmask);
}

void EncodeBlock(const float* x, const float* w, BlockQ4_K& block) {
  AffineBlock<8> fit;
  EncodeAffine(x, w, 15, 63, -0.8f, 0.8f, 12, fit);
  block.d = fit.d;
  block.dmin = fit.dmin;
  PackScaleMins(fit, block.scales);
  PackNibbles(fit.q, block.qs);
}

void EncodeBlock(const float* x, const float* w, BlockQ5_K& block) {
  AffineBlock<8> fit;
  EncodeAffine(x, w, 31, 63, -0.8f, 0.8f, 12, fit);
  block.d = fit.d;
  block.dmin = fit.dmin;
  PackScaleMins(fit, block.scales);
  PackNibbles(fit.q, block.qs);
  PackPlane(fit.q, 4, block.qh);
}

void EncodeBlock(const float* x, const float* w, BlockQ6_K& block) {
  SymmetricBlock fit;
  EncodeSymmetric(x, w, 32, 128, -0.9f, 0.9f, 12, fit);
  block.d = fit.d;
  for (size_t s = 0; s < 16; ++s) block.scales[s] = static_cast<int8_t>(fit.scale[s]);
  for (size_t h = 0; h < 2; ++h) {
    for (size_t l = 0; l < 32; ++l) {
      const float* q = fit.q + 128 * h + l;
      const int part[4] = {static_cast<int>(q[0]), static_cast<int>(q[32]), static_cast<int>(q[64]),
                           static_cast<int>(q[96])};
      block.ql[64 * h + l] = static_cast<uint8_t>((part[0] & 15) | (part[2] & 15) << 4);
      block.ql[64 * h + 32 + l] = static_cast<uint8_t>((part[1] & 15) | (part[3] & 15) << 4);
      block.qh[32 * h + l] = static_cast<uint8_t>(part[0] >> 4 | (part[1] >> 4) << 2 | (part[2] >> 4) << 4 |
                                                  (part[3] >> 4) << 6);
    }
  }
}

}  // namespace mobilevlm
