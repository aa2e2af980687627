// The reference kernels: one obvious loop each, no intrinsics. They document the contract of
// kernels/kernels.h, run where nothing better does, and are what the tests hold every other table against.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/tables.h"
#include "tensor/blocks.h"
#include "tensor/half.h"

namespace mobilevlm {
namespace {

constexpr size_t kWidth = 16;

// Reads element j of a row. memcpy: rows of a file are not aligned.
struct ReadF32 {
  static float At(const unsigned char* row, size_t j) {
    float value;
    std::memcpy(&value, row + j * sizeof(value), sizeof(value));
    return value;
  }
};
template <float (*kConvert)(uint16_t)>
struct Read16 {
  static float At(const unsigned char* row, size_t j) {
    uint16_t bits;
    std::memcpy(&bits, row + j * sizeof(bits), sizeof(bits));
    return kConvert(bits);
  }
};
using ReadF16 = Read16<F16ToF32>;
using ReadBF16 = Read16<Bf16ToF32>;
struct ReadQ8_0 {
  static float At(const unsigned char* row, size_t j) {
    BlockQ8_0 block;
    std::memcpy(&block, row + j / 32 * sizeof(block), sizeof(block));
    return F16ToF32(block.d) * static_cast<float>(block.qs[j % 32]);
  }
};

template <class Read>
void PackRows(const void* block, size_t row_bytes, size_t rows, size_t k, const void* /*next*/,
              float* panel) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  for (size_t j = 0; j < k; ++j) {
    for (size_t r = 0; r < kWidth; ++r) {
      panel[j * kWidth + r] = r < rows ? Read::At(bytes + r * row_bytes, j) : 0.0f;
    }
  }
}

template <class Read>
void PackColumns(const void* block, size_t row_bytes, size_t first, size_t cols, size_t k, float* panel) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  for (size_t j = 0; j < k; ++j) {
    for (size_t c = 0; c < kWidth; ++c) {
      panel[j * kWidth + c] = c < cols ? Read::At(bytes + j * row_bytes, first + c) : 0.0f;
    }
  }
}

template <class Read>
void Widen(const void* in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = Read::At(static_cast<const unsigned char*>(in), i);
}

void GemmPanel(const float* x, size_t rows, const float* panel, size_t k, float* y, size_t y_stride,
               size_t cols) {
  for (size_t r = 0; r < rows; ++r) {
    float sums[kWidth];
    for (size_t c = 0; c < kWidth; ++c) sums[c] = c < cols ? y[r * y_stride + c] : 0.0f;
    for (size_t j = 0; j < k; ++j) {
      const float value = x[r * kTileStride + j];
      for (size_t c = 0; c < kWidth; ++c) sums[c] += value * panel[j * kWidth + c];
    }
    for (size_t c = 0; c < cols; ++c) y[r * y_stride + c] = sums[c];
  }
}

template <class Read>
void GemvRows(const float* x, const void* block, size_t row_bytes, size_t rows, size_t k,
              const void* /*next*/, float* y) {
  for (size_t r = 0; r < rows; ++r) {
    const auto* row = static_cast<const unsigned char*>(block) + r * row_bytes;
    for (size_t j = 0; j < k; ++j) y[r] += x[j] * Read::At(row, j);
  }
}

template <class Read>
void GemvColumns(const float* x, const void* block, size_t row_bytes, size_t cols, size_t k, const void*,
                 float* y) {
  for (size_t j = 0; j < k; ++j) {
    const auto* row = static_cast<const unsigned char*>(block) + j * row_bytes;
    for (size_t c = 0; c < cols; ++c) y[c] += x[j] * Read::At(row, c);
  }
}

template <class Read>
void GemmWidePanel(const float* x, size_t rows, const void* panel, size_t k, const void* /*next*/, float* y,
                   size_t y_stride, size_t cols) {
  const auto* bytes = static_cast<const unsigned char*>(panel);
  for (size_t j = 0; j < k; ++j) {
    for (size_t c = 0; c < cols; ++c) {
      const float w = Read::At(bytes, j * kWidePanel + c);
      for (size_t r = 0; r < rows; ++r) y[r * y_stride + c] += x[r * kTileStride + j] * w;
    }
  }
}

void ToHalf(const float* in, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = F32ToF16(in[i]);
}

void ToQ8_0(const float* in, size_t n, void* out) {
  auto* bytes = static_cast<unsigned char*>(out);
  for (size_t i = 0; i < n; i += 32, bytes += sizeof(BlockQ8_0)) {
    const size_t count = std::min<size_t>(n - i, 32);
    BlockQ8_0 block{};
    float max = 0;
    bool finite = true;
    for (size_t j = 0; j < count; ++j) {
      max = std::max(max, std::fabs(in[i + j]));
      finite = finite && std::isfinite(in[i + j]);
    }
    if (!finite) {
      block.d = F32ToF16(std::numeric_limits<float>::quiet_NaN());
    } else if (max >= 0x1p-100f) {
      const float inverse = 127.0f / max;
      block.d = F32ToF16(max / 127.0f);
      for (size_t j = 0; j < count; ++j) {
        block.qs[j] = static_cast<int8_t>(std::nearbyint(in[i + j] * inverse));
      }
    }
    std::memcpy(bytes, &block, sizeof(block));
  }
}

void LayerNorm(const float* x, const float* gamma, const float* beta, float eps, size_t n, float* y) {
  const double count = static_cast<double>(n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / count;
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double factor = 1.0 / std::sqrt(squares / count + eps);
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>((x[i] - mean) * factor) * gamma[i] + beta[i];
}

void RmsNorm(const float* x, const float* gamma, float eps, size_t n, float* y) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * factor) * gamma[i];
}

float Max(const float* x, size_t n) {
  float max = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  return max;
}

float ExpSum(float* x, size_t n, float max) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - max);
    sum += x[i];
  }
  return static_cast<float>(sum);
}

void Scale(float* x, size_t n, float factor) {
  for (size_t i = 0; i < n; ++i) x[i] *= factor;
}

void QuickGelu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + std::exp(-1.702f * x[i]));
}

void Gelu(const float* x, size_t n, float* y) {
  constexpr float kSqrtHalf = 0.70710678118654752f;
  for (size_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * kSqrtHalf));
}

void Silu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));
}

void SwiGlu(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void Rope(float* x, const float* cos, const float* sin, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void WeightedSum(const float* const* x, const float* const* w, size_t taps, const float* bias, size_t n,
                 float* y) {
  for (size_t c = 0; c < n; ++c) {
    float sum = bias != nullptr ? bias[c] : 0.0f;
    for (size_t t = 0; t < taps; ++t) sum += x[t][c] * w[t][c];
    y[c] = sum;
  }
}

}  // namespace

constinit const KernelTable kGenericKernels = {
    .name = "generic",
    .panel_width = kWidth,
    .quant = &kGenericQuantKernels,
    .split = nullptr,  // kGenericSplitKernels would only be slower
    .pack_rows = {PackRows<ReadF32>, PackRows<ReadF16>, PackRows<ReadBF16>, PackRows<ReadQ8_0>},
    .pack_columns = {PackColumns<ReadF32>, PackColumns<ReadF16>, PackColumns<ReadBF16>,
                     PackColumns<ReadQ8_0>},
    .widen = {Widen<ReadF32>, Widen<ReadF16>, Widen<ReadBF16>, Widen<ReadQ8_0>},
    .gemm_panel = GemmPanel,
    .gemv_rows = {GemvRows<ReadF32>, GemvRows<ReadF16>, GemvRows<ReadBF16>, GemvRows<ReadQ8_0>},
    .gemv_columns = {GemvColumns<ReadF32>, GemvColumns<ReadF16>, GemvColumns<ReadBF16>,
                     GemvColumns<ReadQ8_0>},
    .gemm_wide_panel = {GemmWidePanel<ReadF32>, GemmWidePanel<ReadF16>, GemmWidePanel<ReadBF16>},
    .to_half = ToHalf,
    .to_q8_0 = ToQ8_0,
    .layer_norm = LayerNorm,
    .rms_norm = RmsNorm,
    .max = Max,
    .exp_sum = ExpSum,
    .scale = Scale,
    .quick_gelu = QuickGelu,
    .gelu = Gelu,
    .silu = Silu,
    .swiglu = SwiGlu,
    .rope = Rope,
    .weighted_sum = WeightedSum,
};

}  // namespace mobilevlm
