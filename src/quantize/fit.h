// The search behind the quantisers: for a short group of values, the scale (and offset) with which rounding
// to a few integer levels loses least.
//
// All of them minimise the weighted squared error, sum of w (x - x')^2. For fixed integers q the best scale
// and offset are a small least-squares problem, and for a fixed scale and offset the best integers are the
// nearest; what is searched is where to begin: the range of the values, stretched or shrunk a little, gives
// the integers of each candidate. With the best scale and offset the error is sum(w x^2) minus a gain that
// the sums already hold, so that a candidate costs one pass.
//
// Values are held four to a vector (a compiler extension that SSE2 and NEON both have), since this is where
// quantising spends its time. N is the size of a group, 16 or 32.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

namespace mobilevlm::fit {

using Lanes = float __attribute__((vector_size(16)));

inline Lanes Splat(float value) { return Lanes{value, value, value, value}; }
inline Lanes Load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
inline void Store(Lanes lanes, float* to) { std::memcpy(to, &lanes, sizeof(lanes)); }
inline float Sum(Lanes v) { return (v[0] + v[2]) + (v[1] + v[3]); }
// NaN gives the bound: nothing that is not a number becomes an integer. (The intrinsics have that meaning;
// gcc does not find them itself, and they are in the innermost loop.)
inline Lanes AtLeast(Lanes v, Lanes low) {
#ifdef __SSE2__
  return _mm_max_ps(v, low);
#else
  return v > low ? v : low;
#endif
}
inline Lanes AtMost(Lanes v, Lanes high) {
#ifdef __SSE2__
  return _mm_min_ps(v, high);
#else
  return v < high ? v : high;
#endif
}
inline float Greatest(Lanes v) { return std::max(std::max(v[0], v[1]), std::max(v[2], v[3])); }
inline float Least(Lanes v) { return std::min(std::min(v[0], v[1]), std::min(v[2], v[3])); }
// To the nearest integer, halves to even, for |v| < 2^22: there the float's unit is 1.
inline Lanes Round(Lanes v) {
  const Lanes magic = Splat(12582912.0f);  // 1.5 * 2^23
  return (v + magic) - magic;
}

// The integers nearest to (x - offset) / scale within [low, high], as floats.
inline Lanes Nearest(Lanes x, Lanes inverse, Lanes shift, Lanes low, Lanes high) {
  return Round(AtMost(AtLeast(x * inverse + shift, low), high));
}

inline float Inverse(float scale) {
  const float inverse = 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;  // a subnormal scale: all elements become the offset
}

// q[i] = nearest integer to (x[i] - offset) / scale in [low, high].
template <size_t N>
void Quantize(const float* x, float scale, float offset, float low, float high, float* q) {
  const float inverse = Inverse(scale);
  for (size_t i = 0; i < N; i += 4) {
    Store(Nearest(Load(x + i), Splat(inverse), Splat(-offset * inverse), Splat(low), Splat(high)), q + i);
  }
}

// sum of w (x - x')^2 when x is rounded to scale * q + offset, q in [low, high].
template <size_t N>
float Loss(const float* x, const float* w, float scale, float offset, float low, float high) {
  const Lanes inverse = Splat(Inverse(scale));
  const Lanes shift = Splat(-offset) * inverse;
  Lanes loss = Splat(0);
  for (size_t i = 0; i < N; i += 4) {
    const Lanes values = Load(x + i);
    const Lanes q = Nearest(values, inverse, shift, Splat(low), Splat(high));
    const Lanes difference = Splat(scale) * q + Splat(offset) - values;
    loss += Load(w + i) * difference * difference;
  }
  return Sum(loss);
}

// ---- x ~ scale * q, q in [-levels, levels - 1]: the symmetric formats ----

struct Scaled {
  float scale = 0;
  float gain = 0;  // how much of sum(w x^2) is represented
};

template <size_t N>
Scaled BestScale(const float* x, const float* w, float inverse, float levels) {
  Lanes xq = Splat(0);
  Lanes qq = Splat(0);
  for (size_t i = 0; i < N; i += 4) {
    const Lanes values = Load(x + i);
    const Lanes q = Nearest(values, Splat(inverse), Splat(0), Splat(-levels), Splat(levels - 1));
    const Lanes wq = Load(w + i) * q;
    xq += wq * values;
    qq += wq * q;
  }
  const float sum_xq = Sum(xq);
  const float sum_qq = Sum(qq);
  if (!(sum_qq > 0)) return {};
  const float scale = sum_xq / sum_qq;
  return {scale, scale * sum_xq};
}

// The candidates map the value of greatest magnitude to -(levels + stretch): the side that has one level
// more. The winner is then improved by rounding to its own scale, twice.
template <size_t N>
float FitScale(const float* x, const float* w, float levels, float first, float last, int candidates) {
  Lanes low = Splat(0);
  Lanes high = low;
  for (size_t i = 0; i < N; i += 4) {
    low = AtMost(Load(x + i), low);
    high = AtLeast(Load(x + i), high);
  }
  const float extreme = Greatest(high) >= -Least(low) ? Greatest(high) : Least(low);
  const float inverse_extreme = Inverse(extreme);
  if (inverse_extreme == 0) return 0;
  Scaled best;
  for (int c = 0; c < candidates; ++c) {
    const float stretch = first + (last - first) * static_cast<float>(c) / static_cast<float>(candidates - 1);
    const Scaled fit = BestScale<N>(x, w, -(levels + stretch) * inverse_extreme, levels);
    if (fit.gain > best.gain) best = fit;
  }
  for (int round = 0; round < 2; ++round) {
    const Scaled fit = BestScale<N>(x, w, Inverse(best.scale), levels);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

// ---- x ~ scale * q + offset, q in [0, levels] ----

struct Affine {
  float scale = 0;
  float offset = 0;
  float gain = 0;
};

// The K formats store the offset as a negative multiple of an unsigned number, Q4_1 and Q5_1 as it is.
enum class Offset { kNotPositive, kFree };

template <size_t N>
Affine BestAffine(const float* x, const float* w, float sum_w, float sum_x, float inverse, float shift,
                  float levels, Offset sign) {
  Lanes q1 = Splat(0);
  Lanes qq = Splat(0);
  Lanes xq = Splat(0);
  for (size_t i = 0; i < N; i += 4) {
    const Lanes values = Load(x + i);
    const Lanes q = Nearest(values, Splat(inverse), Splat(shift), Splat(0), Splat(levels));
    const Lanes wq = Load(w + i) * q;
    q1 += wq;
    qq += wq * q;
    xq += wq * values;
  }
  const double sum_q = Sum(q1);
  const double sum_qq = Sum(qq);
  const double sum_xq = Sum(xq);
  const double determinant = sum_w * sum_qq - sum_q * sum_q;
  if (!(determinant > 0)) return {};
  const double inverse_determinant = 1 / determinant;
  double scale = (sum_w * sum_xq - sum_x * sum_q) * inverse_determinant;
  double offset = (sum_qq * sum_x - sum_q * sum_xq) * inverse_determinant;
  if (offset > 0 && sign == Offset::kNotPositive) {
    offset = 0;
    scale = sum_xq / sum_qq;
  }
  if (!(scale > 0)) return {};
  return {static_cast<float>(scale), static_cast<float>(offset),
          static_cast<float>(scale * sum_xq + offset * sum_x)};
}

// The candidates map the range of the values to levels + stretch steps.
template <size_t N>
Affine FitAffine(const float* x, const float* w, float levels, Offset sign, float first, float last,
                 int candidates) {
  Lanes low = Load(x);
  Lanes high = low;
  Lanes w_sum = Splat(0);
  Lanes x_sum = Splat(0);
  for (size_t i = 0; i < N; i += 4) {
    const Lanes values = Load(x + i);
    low = AtMost(values, low);
    high = AtLeast(values, high);
    w_sum += Load(w + i);
    x_sum += Load(w + i) * values;
  }
  float least = Least(low);
  const float greatest = Greatest(high);
  if (sign == Offset::kNotPositive) least = std::min(least, 0.0f);
  const float sum_w = Sum(w_sum);
  const float sum_x = Sum(x_sum);
  const float inverse_range = Inverse(greatest - least);
  if (inverse_range == 0 || !(sum_w > 0)) return {0, sum_w > 0 ? least : 0.0f, 0};

  // What the plain mapping of the range gives stands if no candidate has a solution.
  Affine best{1 / (inverse_range * levels), least, -HUGE_VALF};
  const auto try_mapping = [&](float inverse, float shift) {
    const Affine fit = BestAffine<N>(x, w, sum_w, sum_x, inverse, shift, levels, sign);
    const bool better = fit.scale > 0 && fit.gain > best.gain;
    if (better) best = fit;
    return better;
  };
  for (int c = 0; c < candidates; ++c) {
    const float stretch = first + (last - first) * static_cast<float>(c) / static_cast<float>(candidates - 1);
    const float inverse = (levels + stretch) * inverse_range;
    try_mapping(inverse, -least * inverse);
  }
  for (int round = 0; round < 2; ++round) {
    const float inverse = Inverse(best.scale);
    if (!try_mapping(inverse, -best.offset * inverse)) break;
  }
  return best;
}

}  // namespace mobilevlm::fit
