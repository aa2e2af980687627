#include "ops/attention.h"

#include <cfloat>
#include <limits>

#include "ops/convert.h"
#include "ops/rope.h"
#include "ops/softmax.h"
#include "ops/test_support.h"

namespace mobilevlm {
namespace {

using namespace test;

using AttentionTest = OpsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, AttentionTest, ::testing::ValuesIn(RunnableKernels()), TableName);

struct Shape {
  size_t tokens, keys, heads, kv_heads, head_dim;
};

// Query t sees the keys [0, first + t] (causal) or all; plain softmax in double.
std::vector<double> Reference(const Shape& s, const std::vector<float>& q, const std::vector<float>& k,
                              const std::vector<float>& v, bool causal, size_t first) {
  const size_t kv_width = s.kv_heads * s.head_dim;
  std::vector<double> out(q.size(), 0.0);
  for (size_t t = 0; t < s.tokens; ++t) {
    for (size_t h = 0; h < s.heads; ++h) {
      const size_t kv = h / (s.heads / s.kv_heads) * s.head_dim;
      const size_t at = (t * s.heads + h) * s.head_dim;
      const size_t seen = causal ? first + t + 1 : s.keys;
      std::vector<double> weights(seen);
      double max = -1e300;
      for (size_t j = 0; j < seen; ++j) {
        double dot = 0;
        for (size_t d = 0; d < s.head_dim; ++d)
          dot += static_cast<double>(q[at + d]) * k[j * kv_width + kv + d];
        weights[j] = dot / std::sqrt(static_cast<double>(s.head_dim));
        max = std::max(max, weights[j]);
      }
      double sum = 0;
      for (double& w : weights) sum += w = std::exp(w - max);
      for (size_t j = 0; j < seen; ++j) {
        for (size_t d = 0; d < s.head_dim; ++d) out[at + d] += weights[j] / sum * v[j * kv_width + kv + d];
      }
    }
  }
  return out;
}

// Scores reach +-20 (q is scaled up), so the softmax is sharp; its relative error is the scores' absolute
// error, about head_dim roundings of 20, and |v| <= 1.
constexpr double kTolerance = 3e-5;

const Shape kShapes[] = {
    {1, 1, 1, 1, 2},      {3, 3, 2, 2, 6},      {13, 13, 3, 3, 32},   {70, 70, 2, 2, 80},
    {257, 257, 1, 1, 64}, {300, 300, 2, 2, 10}, {600, 600, 1, 1, 16}, {20, 20, 1, 1, 300},
};

TEST_P(AttentionTest, BidirectionalMatchesDouble) {
  AttentionScratch scratch;
  for (const Shape& s : kShapes) {
    const size_t n = s.tokens * s.heads * s.head_dim;
    std::vector<float> q = RandomFloats(n, 1, -8, 8);
    const std::vector<float> k = RandomFloats(n, 2);
    const std::vector<float> v = RandomFloats(n, 3);
    const std::vector<double> wanted = Reference(s, q, k, v, false, 0);
    std::vector<float> one(n);
    AttentionBidirectional(ctx(), View(std::as_const(q), s.tokens), View(k, s.tokens), View(v, s.tokens),
                           s.heads, scratch, View(one, s.tokens));
    EXPECT_TRUE(Near(one, wanted, kTolerance)) << s.tokens << " tokens, head_dim " << s.head_dim;
    AttentionBidirectional(threaded(), View(std::as_const(q), s.tokens), View(k, s.tokens), View(v, s.tokens),
                           s.heads, scratch, View(q, s.tokens));  // in place
    EXPECT_TRUE(SameBits(one, q)) << "threads or aliasing changed a bit";
  }
}

const Shape kCausalShapes[] = {
    {5, 5, 2, 2, 6}, {9, 300, 2, 1, 32}, {40, 290, 4, 2, 80}, {1, 513, 3, 3, 16}, {260, 520, 2, 2, 10},
};

TEST_P(AttentionTest, CausalMatchesDoubleAndBatchOne) {
  AttentionScratch scratch;
  for (const DType type : {DType::kF32, DType::kF16}) {
    for (const Shape& s : kCausalShapes) {
      const size_t first = s.keys - s.tokens;
      const size_t width = s.kv_heads * s.head_dim;
      const size_t stride = width + 4;
      const std::vector<float> q = RandomFloats(s.tokens * s.heads * s.head_dim, 1, -8, 8);
      std::vector<float> k = RandomFloats(s.keys * width, 2);
      std::vector<float> v = RandomFloats(s.keys * width, 3);
      // The cache: rows `stride` apart, NaN between them and behind the last one.
      std::vector<float> k_cache((s.keys + 1) * stride, std::numeric_limits<float>::quiet_NaN());
      std::vector<float> v_cache = k_cache;
      std::vector<f16_t> k_half(k_cache.size(), 0x7E00);
      std::vector<f16_t> v_half(v_cache.size(), 0x7E00);
      ToHalf(ctx(), View(std::as_const(k), s.keys), k_half.data(), stride);
      ToHalf(threaded(), View(std::as_const(v), s.keys), v_half.data(), stride);
      for (size_t j = 0; j < s.keys; ++j) {
        for (size_t c = 0; c < width; ++c) {
          if (type == DType::kF16) {
            k[j * width + c] = F16ToF32(k_half[j * stride + c]);
            v[j * width + c] = F16ToF32(v_half[j * stride + c]);
          }
          k_cache[j * stride + c] = k[j * width + c];
          v_cache[j * stride + c] = v[j * width + c];
        }
      }
      const bool half = type == DType::kF16;
      const KvView kv{.type = type,
                      .k = half ? static_cast<const void*>(k_half.data()) : k_cache.data(),
                      .v = half ? static_cast<const void*>(v_half.data()) : v_cache.data(),
                      .stride = stride,
                      .length = s.keys,
                      .kv_heads = s.kv_heads,
                      .head_dim = s.head_dim};
      std::vector<float> batch(q.size());
      AttentionCausal(threaded(), View(q, s.tokens), kv, first, scratch, View(batch, s.tokens));
      EXPECT_TRUE(Near(batch, Reference(s, q, k, v, true, first), kTolerance))
          << s.tokens << ", " << s.head_dim;

      std::vector<float> single(q.size());
      for (size_t t = 0; t < s.tokens; ++t) {
        KvView grown = kv;
        grown.length = first + t + 1;  // as if the later keys were not there yet
        AttentionCausal(ctx(), View(q, s.tokens).Rows(t, 1), grown, first + t, scratch,
                        View(single, s.tokens).Rows(t, 1));
      }
      EXPECT_TRUE(SameBits(batch, single)) << s.tokens << " tokens, head_dim " << s.head_dim;
    }
  }
}

TEST_P(AttentionTest, NanStaysInItsHeadAndQuery) {
  AttentionScratch scratch;
  std::vector<float> q = RandomFloats(4 * 16, 1);
  const std::vector<float> k = RandomFloats(4 * 16, 2);
  const std::vector<float> v = RandomFloats(4 * 16, 3);
  q[16 + 3] = std::numeric_limits<float>::quiet_NaN();  // token 1, head 0 of 2
  std::vector<float> out(4 * 16);
  AttentionBidirectional(ctx(), View(std::as_const(q), 4), View(k, 4), View(v, 4), 2, scratch, View(out, 4));
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i >= 16 && i < 24) << i;
}

TEST_P(AttentionTest, RopeRotatesAdjacentPairs) {
  constexpr size_t kHeads = 3;
  constexpr float kBase = 10000.0f;
  for (const size_t head_dim : {2u, 6u, 32u, 80u}) {
    const RopeTable table(40, head_dim, kBase);
    std::vector<float> x = RandomFloats(5 * kHeads * head_dim, 1);
    std::vector<double> wanted(x.size());
    for (size_t i = 0; i < x.size(); i += 2) {
      const double position = 30.0 + static_cast<double>(i / (kHeads * head_dim));
      const double angle =
          position * std::pow(kBase, -static_cast<double>(i % head_dim) / static_cast<double>(head_dim));
      wanted[i] = x[i] * std::cos(angle) - x[i + 1] * std::sin(angle);
      wanted[i + 1] = x[i + 1] * std::cos(angle) + x[i] * std::sin(angle);
    }
    ApplyRope(threaded(), table, 30, View(x, 5));
    EXPECT_TRUE(Near(x, wanted, 40 * FLT_EPSILON)) << head_dim;  // the angle is a float below 40
  }
}

TEST_P(AttentionTest, SoftmaxRows) {
  for (const size_t cols : {1u, 7u, 16u, 33u, 1000u}) {
    std::vector<float> x = RandomFloats(3 * cols, cols, -50, 50);
    std::vector<double> wanted;
    for (size_t r = 0; r < 3; ++r) {
      double sum = 0;
      for (size_t c = 0; c < cols; ++c) sum += std::exp(static_cast<double>(x[r * cols + c]));
      for (size_t c = 0; c < cols; ++c)
        wanted.push_back(std::exp(static_cast<double>(x[r * cols + c])) / sum);
    }
    Softmax(threaded(), View(x, 3));
    EXPECT_TRUE(Near(x, wanted, 1e-6)) << cols;
  }
  std::vector<float> bad{1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f,
                         1.0f, std::numeric_limits<float>::infinity(),  2.0f};
  Softmax(ctx(), View(bad, 2));
  EXPECT_TRUE(std::isnan(bad[0]));
  EXPECT_TRUE(std::isnan(bad[4]));
}

}  // namespace
}  // namespace mobilevlm
