#include "ops/attention.h"

#include <atomic>
#include <cfloat>
#include <cstring>
#include <limits>

#include "kernels/tables.h"
#include "ops/formats.h"
#include "ops/rope.h"
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
    {1, 1, 1, 1, 2},      {3, 3, 2, 2, 6},      {13, 13, 3, 3, 32},
    {70, 70, 2, 2, 80},   {257, 257, 1, 1, 64}, {300, 300, 2, 2, 10},
    {600, 600, 1, 1, 16}, {20, 20, 1, 1, 300},  {577, 577, 1, 1, 128},
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
    {5, 5, 2, 2, 6},      {9, 300, 2, 1, 32},  {40, 290, 4, 2, 80}, {1, 513, 3, 3, 16},
    {260, 520, 2, 2, 10}, {6, 270, 2, 2, 128}, {6, 40, 1, 1, 300},  {400, 400, 1, 1, 64},
};

constexpr DType kKvTypes[] = {DType::kF32, DType::kF16, DType::kQ8_0};

// Keys or values in a cache: NaN between rows, between heads and behind the last position.
struct TestCache {
  DType type;
  KeyOrder order;
  size_t position_bytes, head_bytes;
  std::vector<std::byte> bytes;

  TestCache(const OpsContext& ctx, DType kv_type, KeyOrder key_order, const Shape& s,
            const std::vector<float>& values)
      : type(kv_type),
        order(key_order),
        position_bytes(KvPositionBytes(type, s.head_dim) + 4),
        head_bytes((s.keys / kKeyBlock + 1) * kKeyBlock * position_bytes + 8),
        bytes(s.kv_heads * head_bytes, std::byte{0xFF}) {
    const Mat<const float> all = View(values, s.keys);
    const size_t half = s.keys / 2;
    for (size_t h = 0; h < s.kv_heads; ++h) {
      const Mat<const float> in = all.Cols(h * s.head_dim, s.head_dim);
      std::byte* head = bytes.data() + h * head_bytes;
      if (order == KeyOrder::kRows) {
        StoreRows(*ctx.kernels, in, type, head, position_bytes);
        continue;
      }
      StoreKeyBlocks(*ctx.kernels, in.Rows(0, half), type, 0, head);  // as two steps
      StoreKeyBlocks(*ctx.kernels, in.Rows(half, s.keys - half), type, half, head);
    }
  }
  static TestCache Keys(const OpsContext& ctx, DType type, const Shape& s, const std::vector<float>& values) {
    return TestCache(ctx, type, CachedKeyOrder(type), s, values);
  }
  static TestCache Values(const OpsContext& ctx, DType type, const Shape& s,
                          const std::vector<float>& values) {
    return TestCache(ctx, type, KeyOrder::kRows, s, values);
  }
  // These keys, those values.
  KvView With(const TestCache& values, const Shape& s) const {
    return {.type = type,
            .k = bytes.data(),
            .v = values.bytes.data(),
            .key_order = order,
            .position_bytes = position_bytes,
            .head_bytes = head_bytes,
            .length = s.keys,
            .kv_heads = s.kv_heads,
            .head_dim = s.head_dim};
  }
  // Does the cache hold anything at this byte?
  bool Holds(size_t byte, const Shape& s) const {
    const size_t in_head = byte % head_bytes;
    if (order == KeyOrder::kRows) {
      return in_head / position_bytes < s.keys &&
             in_head % position_bytes < KvPositionBytes(type, s.head_dim);
    }
    const size_t element = in_head / GetDTypeInfo(type).block_bytes, block = kKeyBlock * s.head_dim;
    return element / block * kKeyBlock + element % kKeyBlock < s.keys &&
           element / block <= s.keys / kKeyBlock;
  }
  // What the cache holds, as floats in [keys, kv_heads * head_dim].
  std::vector<float> Read(const Shape& s) const {
    std::vector<float> values;
    std::vector<float> row((s.head_dim + 31) / 32 * 32);
    for (size_t p = 0; p < s.keys; ++p) {
      for (size_t h = 0; h < s.kv_heads; ++h) {
        if (order == KeyOrder::kBlocks) {
          for (size_t d = 0; d < s.head_dim; ++d) {
            kGenericKernels.widen[GetKernelFormat(type)](
                bytes.data() + h * head_bytes + KeyOffset(type, s.head_dim, p, d), 1, &values.emplace_back());
          }
          continue;
        }
        kGenericKernels.widen[GetKernelFormat(type)](bytes.data() + h * head_bytes + p * position_bytes,
                                                     type == DType::kQ8_0 ? row.size() : s.head_dim,
                                                     row.data());
        values.insert(values.end(), row.begin(), row.begin() + static_cast<ptrdiff_t>(s.head_dim));
      }
    }
    return values;
  }
};

TEST_P(AttentionTest, StoringRoundsAndStaysInItsPlace) {
  const Shape s{70, 70, 2, 2, 80};
  const std::vector<float> values = RandomFloats(s.keys * s.kv_heads * s.head_dim, 1, -3, 3);
  for (const DType type : kKvTypes) {
    for (const TestCache& cache :
         {TestCache::Keys(threaded(), type, s, values), TestCache::Values(threaded(), type, s, values)}) {
      const std::vector<float> read = cache.Read(s);
      for (size_t i = 0; i < values.size(); ++i) {
        const float rounded = type == DType::kF16 ? F16ToF32(F32ToF16(values[i])) : values[i];
        ASSERT_NEAR(read[i], rounded,
                    type == DType::kQ8_0 ? 3.0 / 127 * 0.57 : 0.0);  // half a step, and the scale
      }
      for (size_t i = 0; i < cache.bytes.size(); ++i) {
        if (!cache.Holds(i, s)) {
          ASSERT_EQ(cache.bytes[i], std::byte{0xFF}) << DTypeName(type) << " byte " << i;
        }
      }
    }
  }
  EXPECT_EQ(KvPositionBytes(DType::kQ8_0, 80), 3 * 34u);
}

TEST_P(AttentionTest, CausalMatchesDoubleAndBatchOne) {
  ThreadPool eight(8);
  AttentionScratch scratch;
  for (const DType type : kKvTypes) {
    for (const Shape& s : kCausalShapes) {
      const size_t first = s.keys - s.tokens;
      const size_t width = s.kv_heads * s.head_dim;
      const std::vector<float> q = RandomFloats(s.tokens * s.heads * s.head_dim, 1, -8, 8);
      const TestCache k = TestCache::Keys(threaded(), type, s, RandomFloats(s.keys * width, 2));
      const TestCache v = TestCache::Values(ctx(), type, s, RandomFloats(s.keys * width, 3));
      const KvView kv = k.With(v, s);
      std::vector<float> batch(q.size());
      AttentionCausal(threaded(), View(q, s.tokens), kv, first, scratch, View(batch, s.tokens));
      EXPECT_TRUE(Near(batch, Reference(s, q, k.Read(s), v.Read(s), true, first), kTolerance))
          << DTypeName(type) << ", " << s.tokens << ", " << s.head_dim;
      std::vector<float> by_one(q.size()), by_eight(q.size());
      AttentionCausal(ctx(), View(q, s.tokens), kv, first, scratch, View(by_one, s.tokens));
      AttentionCausal(On(eight), View(q, s.tokens), kv, first, scratch, View(by_eight, s.tokens));
      EXPECT_TRUE(SameBits(batch, by_one)) << "one thread";
      EXPECT_TRUE(SameBits(batch, by_eight)) << "eight threads";

      for (const size_t step : {1u, 2u, 5u}) {  // few rows read the keys in place, many pack them
        std::vector<float> parts(q.size()), together(q.size());
        std::vector<AttentionPart> all{
            {View(q, s.tokens).Rows(0, 0), kv, 0, View(together, s.tokens).Rows(0, 0)}};
        for (size_t t = 0; t < s.tokens; t += step) {
          const size_t count = std::min(step, s.tokens - t);
          KvView grown = kv;
          grown.length = first + t + count;  // as if the later keys were not there yet
          const Mat<const float> some = View(q, s.tokens).Rows(t, count);
          AttentionCausal(ctx(), some, grown, first + t, scratch, View(parts, s.tokens).Rows(t, count));
          all.push_back({some, grown, first + t, View(together, s.tokens).Rows(t, count)});
        }
        AttentionCausal(threaded(), all, scratch);
        EXPECT_TRUE(SameBits(batch, parts)) << DTypeName(type) << ", " << s.tokens << " tokens, head_dim "
                                            << s.head_dim << ", " << step << " at a time";
        EXPECT_TRUE(SameBits(batch, together)) << DTypeName(type) << ", " << s.tokens << " tokens, head_dim "
                                               << s.head_dim << ", " << step << " each, in one call";
      }
    }
  }
}

TEST_P(AttentionTest, KeysMayBeStoredWhenTheirHeadIsDue) {
  AttentionScratch scratch;
  // A decoded token and a prompt whose heads several threads share.
  const Shape shapes[] = {{1, 70, 6, 3, 16}, {300, 300, 2, 2, 16}};
  for (const Shape& s : shapes) {
    const size_t width = s.kv_heads * s.head_dim, first = s.keys - s.tokens;
    const std::vector<float> q = RandomFloats(s.tokens * s.heads * s.head_dim, 1);
    const std::vector<float> keys = RandomFloats(s.keys * width, 2), values = RandomFloats(s.keys * width, 3);
    const TestCache k = TestCache::Keys(ctx(), DType::kF32, s, keys);
    const TestCache v = TestCache::Values(ctx(), DType::kF32, s, values);
    std::vector<float> wanted(q.size()), late(q.size()), in_place(q.size());
    AttentionCausal(ctx(), View(q, s.tokens), k.With(v, s), first, scratch, View(wanted, s.tokens));

    TestCache empty = TestCache::Values(ctx(), DType::kF32, s, std::vector<float>(values.size()));
    std::vector<std::atomic<int>> calls(2 * s.kv_heads);
    const BeforeKeys before = [&](size_t part, size_t head) {
      if (++calls[part * s.kv_heads + head] > 1 || part > 0) return;
      for (size_t p = 0; p < s.keys; ++p) {
        std::memcpy(empty.bytes.data() + head * empty.head_bytes + p * empty.position_bytes,
                    values.data() + p * width + head * s.head_dim, s.head_dim * sizeof(float));
      }
      for (size_t t = 0; t < s.tokens; ++t) {  // and the queries of its group
        const size_t group = s.heads / s.kv_heads * s.head_dim, at = t * s.heads * s.head_dim + head * group;
        std::copy_n(q.data() + at, group, in_place.data() + at);
      }
    };
    const AttentionPart parts[] = {
        {View(in_place, s.tokens), k.With(empty, s), first, View(in_place, s.tokens)},
        {View(q, s.tokens), k.With(v, s), first, View(late, s.tokens)}};
    AttentionCausal(threaded(), parts, scratch, before);
    EXPECT_TRUE(SameBits(in_place, wanted)) << s.tokens << " tokens";
    EXPECT_TRUE(SameBits(late, wanted)) << s.tokens << " tokens";
    for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
  }
}

// What a q8_0 cache costs: a value is off by at most half a step of 1/127 (0.004), and independent errors of
// 300 values and scores average out, so that outputs (|v| <= 1) stay within 0.002 of a float cache's.
TEST_P(AttentionTest, Q8KeysAndValuesStayCloseToFloat) {
  AttentionScratch scratch;
  for (const size_t head_dim : {64u, 80u, 128u}) {
    const Shape s{3, 300, 2, 2, head_dim};
    const size_t width = s.kv_heads * head_dim;
    const std::vector<float> q = RandomFloats(s.tokens * width, 1);
    const std::vector<float> k = RandomFloats(s.keys * width, 2);
    const std::vector<float> v = RandomFloats(s.keys * width, 3);
    const TestCache k8 = TestCache::Keys(ctx(), DType::kQ8_0, s, k);
    const TestCache v8 = TestCache::Values(ctx(), DType::kQ8_0, s, v);
    std::vector<float> out(q.size());
    AttentionCausal(ctx(), View(q, s.tokens), k8.With(v8, s), s.keys - s.tokens, scratch,
                    View(out, s.tokens));
    EXPECT_TRUE(Near(out, Reference(s, q, k, v, true, s.keys - s.tokens), 2e-3)) << head_dim;
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
    ApplyRope(*ctx().kernels, table, 30, View(x, 5));
    EXPECT_TRUE(Near(x, wanted, 40 * FLT_EPSILON)) << head_dim;  // the angle is a float below 40
  }
}

}  // namespace
}  // namespace mobilevlm
