// The reference of kernels/split_kernels.h, one number at a time.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/split_kernels.h"
#include "kernels/tables.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

float Flush(float x) { return std::abs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

struct Split {
  bf16_t high, low;
};
Split SplitFloat(float x) {
  const bf16_t high = F32ToBf16(Flush(x));
  const float rest = x - Bf16ToF32(high);
  return {high, std::isnan(rest) ? bf16_t{0} : F32ToBf16(Flush(rest))};
}

// Where high of element j of row r goes within a step; low is kSplitTile behind it.
size_t RowPlace(size_t r, size_t j) {
  return r / kSplitTileRows * 2 * kSplitTile + r % kSplitTileRows * kSplitInputs + j % kSplitInputs;
}
size_t PanelPlace(size_t r, size_t j) {
  return r / kSplitTileRows * 2 * kSplitTile + j % kSplitInputs / 2 * 2 * kSplitTileRows +
         r % kSplitTileRows * 2 + j % 2;
}

void SplitRows(const float* x, size_t x_stride, size_t rows, size_t k, uint16_t* out) {
  for (size_t j = 0; j < SplitSteps(k) * kSplitInputs; ++j) {
    for (size_t r = 0; r < kSplitRows; ++r) {
      const Split split = SplitFloat(r < rows && j < k ? x[r * x_stride + j] : 0.0f);
      uint16_t* to = out + j / kSplitInputs * kSplitStep + RowPlace(r, j);
      to[0] = split.high;
      to[kSplitTile] = split.low;
    }
  }
}

float Read(KernelFormat format, const unsigned char* row, size_t j) {
  if (format == kFormatF32) {
    float value;
    std::memcpy(&value, row + j * sizeof(value), sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, row + j * sizeof(bits), sizeof(bits));
  return format == kFormatF16 ? F16ToF32(bits) : Bf16ToF32(bits);
}

template <KernelFormat kFormat>
void SplitWeights(const void* block, size_t row_bytes, size_t rows, size_t k, const void* /*next*/,
                  uint16_t* panels) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  for (size_t j = 0; j < SplitSteps(k) * kSplitInputs; ++j) {
    for (size_t r = 0; r < kSplitRows; ++r) {
      const Split split = SplitFloat(r < rows && j < k ? Read(kFormat, bytes + r * row_bytes, j) : 0.0f);
      uint16_t* to = panels + j / kSplitInputs * kSplitStep + PanelPlace(r, j);
      to[0] = split.high;
      to[kSplitTile] = split.low;
    }
  }
}

// One step of row r and output c, of the high or the low parts that x and w point to.
float Step(const uint16_t* x, size_t r, const uint16_t* w, size_t c, float y) {
  float sums[2] = {0, 0};
  for (size_t j = 0; j < kSplitInputs; ++j) {
    const float a = Flush(Bf16ToF32(x[RowPlace(r, j)])), b = Flush(Bf16ToF32(w[PanelPlace(c, j)]));
    sums[j % 2] = Flush(std::fma(a, b, sums[j % 2]));
  }
  return Flush(Flush(y) + Flush(sums[0] + sums[1]));
}

void Gemm(const uint16_t* x, size_t rows, const uint16_t* panels, size_t steps, StartSums start, PairSums y,
          size_t cols) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      float sum = start.row[r * start.stride + c];
      for (size_t s = 0; s < steps; ++s) {
        const uint16_t *high = x + s * kSplitStep, *w_high = panels + s * kSplitStep;
        sum = Step(high + kSplitTile, r, w_high, c, sum);
        sum = Step(high, r, w_high, c, sum);
        sum = Step(high, r, w_high + kSplitTile, c, sum);
      }
      y.row[r * y.stride + c] = sum;
    }
  }
}

}  // namespace

constinit const SplitKernels kGenericSplitKernels = {
    .split_rows = SplitRows,
    .split_weights = {SplitWeights<kFormatF32>, SplitWeights<kFormatF16>, SplitWeights<kFormatBF16>},
    .gemm = Gemm,
    .begin = [] {},
    .end = [] {},
};

}  // namespace mobilevlm
