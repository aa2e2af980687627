#include "ops/activation.h"

#include "ops/parallel.h"

namespace mobilevlm {
namespace {

// f(row, n) on every row.
template <class F>
void InPlace(const OpsContext& ctx, Mat<float> x, const F& f) {
  ParallelRows(ctx, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) f(x.row(t), x.cols());
  });
}

// Comparisons are written so that NaN passes through.
float Clamp06(float v) {
  const float low = v < 0.0f ? 0.0f : v;
  return low > 6.0f ? 6.0f : low;
}

}  // namespace

void QuickGelu(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [&](float* row, size_t n) { ctx.kernels->quick_gelu(row, n, row); });
}

void Gelu(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [&](float* row, size_t n) { ctx.kernels->gelu(row, n, row); });
}

void Silu(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [&](float* row, size_t n) { ctx.kernels->silu(row, n, row); });
}

void Relu(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [](float* row, size_t n) {
    for (size_t i = 0; i < n; ++i) row[i] = row[i] < 0.0f ? 0.0f : row[i];
  });
}

void HardSwish(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [](float* row, size_t n) {
    for (size_t i = 0; i < n; ++i) row[i] = row[i] * Clamp06(row[i] + 3.0f) / 6.0f;
  });
}

void HardSigmoid(const OpsContext& ctx, Mat<float> x) {
  InPlace(ctx, x, [](float* row, size_t n) {
    for (size_t i = 0; i < n; ++i) row[i] = Clamp06(row[i] + 3.0f) / 6.0f;
  });
}

void SwiGlu(const OpsContext& ctx, Mat<const float> gate, Mat<const float> up, Mat<float> out) {
  MVLM_CHECK(gate.rows() == out.rows() && up.rows() == out.rows() && gate.cols() == out.cols() &&
                 up.cols() == out.cols(),
             "gate [{}, {}], up [{}, {}], out [{}, {}]", gate.rows(), gate.cols(), up.rows(), up.cols(),
             out.rows(), out.cols());
  ParallelRows(ctx, out.rows(), out.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      ctx.kernels->swiglu(gate.row(t), up.row(t), out.cols(), out.row(t));
    }
  });
}

void AddInPlace(const OpsContext& ctx, Mat<const float> x, Mat<float> y) {
  MVLM_CHECK(x.rows() == y.rows() && x.cols() == y.cols(), "x [{}, {}], y [{}, {}]", x.rows(), x.cols(),
             y.rows(), y.cols());
  ParallelRows(ctx, y.rows(), y.cols(), [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const float* from = x.row(t);
      float* to = y.row(t);
      for (size_t i = 0; i < y.cols(); ++i) to[i] += from[i];
    }
  });
}

}  // namespace mobilevlm
