// The elementwise and row kernels of kernels/kernels.h, written once over a vector class V and compiled per
// instruction set: the ISA file defines V and includes this file. Everything has internal linkage, so that
// no function compiled for a newer CPU can be the copy the linker keeps for an older one.
//
// V offers: F (the register), kLanes; Load, Store (All{} or the first n lanes, Some{n}; the other lanes load
// as 0 and are not stored); Set, Fma (a * b + c), Round, ScaleByPow2, IfGe, Sum and MaxLane (each one fixed
// order), Min and Max (which return their second operand if either is NaN), RotatePairs. + - * / are the
// compiler's.
#pragma once

#include "kernels/kernels.h"

namespace mobilevlm {
namespace {

struct All {};
struct Some {
  size_t n;
};

// body(i, All{}) for each whole vector of [0, n), then body(i, Some{rest}) if something is left.
template <class V, class Body>
inline void ForEachVector(size_t n, Body body) {
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) body(i, All{});
  if (i < n) body(i, Some{n - i});
}

// e^x. x = n ln 2 + r, |r| <= ln(2)/2, Taylor-like minimax polynomial in r of degree 6 (the constants of
// Cephes expf). Error below 2 units in the last place; underflow is gradual; overflow gives infinity.
template <class V>
inline typename V::F Exp(typename V::F x) {
  using F = typename V::F;
  x = V::Max(V::Set(-104.0f), V::Min(V::Set(89.0f), x));  // beyond: 0 and infinity, by the same arithmetic
  const F n = V::Round(x * V::Set(1.44269504088896341f));
  F r = V::Fma(n, V::Set(-0.693359375f), x);  // ln 2 in two parts: the first product is exact
  r = V::Fma(n, V::Set(2.12194440e-4f), r);
  F p = V::Set(1.9875691500e-4f);
  p = V::Fma(p, r, V::Set(1.3981999507e-3f));
  p = V::Fma(p, r, V::Set(8.3334519073e-3f));
  p = V::Fma(p, r, V::Set(4.1665795894e-2f));
  p = V::Fma(p, r, V::Set(1.6666665459e-1f));
  p = V::Fma(p, r, V::Set(5.0000001201e-1f));
  p = V::Fma(p, r * r, r) + V::Set(1.0f);
  return V::ScaleByPow2(p, n);
}

// erf(x): an odd rational function on [-4, 4] (the coefficients of Eigen's float erf), +-1 beyond, where
// float can hold nothing else. Absolute error below 2e-7.
template <class V>
inline typename V::F Erf(typename V::F x) {
  using F = typename V::F;
  x = V::Max(V::Set(-4.0f), V::Min(V::Set(4.0f), x));
  const F x2 = x * x;
  F p = V::Set(-2.72614225801306e-10f);
  p = V::Fma(p, x2, V::Set(2.77068142495902e-08f));
  p = V::Fma(p, x2, V::Set(-2.10102402082508e-06f));
  p = V::Fma(p, x2, V::Set(-5.69250639462346e-05f));
  p = V::Fma(p, x2, V::Set(-7.34990630326855e-04f));
  p = V::Fma(p, x2, V::Set(-2.95459980854025e-03f));
  p = V::Fma(p, x2, V::Set(-1.60960333262415e-02f));
  F q = V::Set(-1.45660718464996e-05f);
  q = V::Fma(q, x2, V::Set(-2.13374055278905e-04f));
  q = V::Fma(q, x2, V::Set(-1.68282697438203e-03f));
  q = V::Fma(q, x2, V::Set(-7.37332916720468e-03f));
  q = V::Fma(q, x2, V::Set(-1.42647390514189e-02f));
  return V::IfGe(x2, V::Set(16.0f), x * V::Set(0.25f), x * p / q);
}

template <class V>
inline typename V::F SigmoidTimes(typename V::F x, float slope) {  // x * sigmoid(slope * x)
  return x / (V::Set(1.0f) + Exp<V>(V::Set(-slope) * x));
}

template <class V>
void QuickGelu(const float* x, size_t n, float* y) {
  ForEachVector<V>(
      n, [&](size_t i, auto part) { V::Store(y + i, SigmoidTimes<V>(V::Load(x + i, part), 1.702f), part); });
}

template <class V>
void Silu(const float* x, size_t n, float* y) {
  ForEachVector<V>(
      n, [&](size_t i, auto part) { V::Store(y + i, SigmoidTimes<V>(V::Load(x + i, part), 1.0f), part); });
}

template <class V>
void SwiGlu(const float* gate, const float* up, size_t n, float* y) {
  ForEachVector<V>(n, [&](size_t i, auto part) {
    V::Store(y + i, SigmoidTimes<V>(V::Load(gate + i, part), 1.0f) * V::Load(up + i, part), part);
  });
}

template <class V>
void Gelu(const float* x, size_t n, float* y) {
  ForEachVector<V>(n, [&](size_t i, auto part) {
    const auto v = V::Load(x + i, part);
    const auto phi = V::Set(1.0f) + Erf<V>(v * V::Set(0.70710678118654752f));
    V::Store(y + i, V::Set(0.5f) * v * phi, part);
  });
}

template <class V>
float Max(const float* x, size_t n) {
  auto max = V::Set(-__builtin_inff());
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) max = V::Max(V::Load(x + i, All{}), max);
  float result = V::MaxLane(max);
  for (; i < n; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

template <class V>
float ExpSum(float* x, size_t n, float max) {
  auto sum = V::Set(0.0f);
  ForEachVector<V>(n, [&](size_t i, auto part) {
    const auto e = Exp<V>(V::Load(x + i, part) - V::Set(max));
    V::Store(x + i, e, part);
    sum = sum + V::Keep(e, part);
  });
  return V::Sum(sum);
}

template <class V>
void Scale(float* x, size_t n, float factor) {
  ForEachVector<V>(
      n, [&](size_t i, auto part) { V::Store(x + i, V::Load(x + i, part) * V::Set(factor), part); });
}

// Two passes: the variance of the differences, not the difference of two large sums.
template <class V>
void LayerNorm(const float* x, const float* gamma, const float* beta, float eps, size_t n, float* y) {
  const float count = static_cast<float>(n);
  auto sum = V::Set(0.0f);
  ForEachVector<V>(n, [&](size_t i, auto part) { sum = sum + V::Load(x + i, part); });
  const auto mean = V::Set(V::Sum(sum) / count);
  auto squares = V::Set(0.0f);
  ForEachVector<V>(n, [&](size_t i, auto part) {
    const auto d = V::Keep(V::Load(x + i, part) - mean, part);
    squares = V::Fma(d, d, squares);
  });
  const auto factor = V::Set(1.0f / __builtin_sqrtf(V::Sum(squares) / count + eps));
  ForEachVector<V>(n, [&](size_t i, auto part) {
    const auto normal = (V::Load(x + i, part) - mean) * factor;
    V::Store(y + i, V::Fma(normal, V::Load(gamma + i, part), V::Load(beta + i, part)), part);
  });
}

template <class V>
void RmsNorm(const float* x, const float* gamma, float eps, size_t n, float* y) {
  auto squares = V::Set(0.0f);
  ForEachVector<V>(n, [&](size_t i, auto part) {
    const auto v = V::Load(x + i, part);
    squares = V::Fma(v, v, squares);
  });
  const auto factor = V::Set(1.0f / __builtin_sqrtf(V::Sum(squares) / static_cast<float>(n) + eps));
  ForEachVector<V>(n, [&](size_t i, auto part) {
    V::Store(y + i, V::Load(x + i, part) * factor * V::Load(gamma + i, part), part);
  });
}

template <class V>
void Rope(float* x, const float* cos, const float* sin, size_t pairs) {
  constexpr size_t kPairs = V::kLanes / 2;
  size_t i = 0;
  for (; i + kPairs <= pairs; i += kPairs) V::RotatePairs(x + 2 * i, cos + i, sin + i);
  for (; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

template <class V>
void WeightedSum(const float* const* x, const float* const* w, size_t taps, const float* bias, size_t n,
                 float* y) {
  ForEachVector<V>(n, [&](size_t i, auto part) {
    auto sum = bias != nullptr ? V::Load(bias + i, part) : V::Set(0.0f);
    for (size_t t = 0; t < taps; ++t) {
      sum = V::Fma(V::Load(x[t] + i, part), V::Load(w[t] + i, part), sum);
    }
    V::Store(y + i, sum, part);
  });
}

}  // namespace
}  // namespace mobilevlm
