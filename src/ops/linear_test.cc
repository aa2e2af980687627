#include "ops/linear.h"

#include <algorithm>
#include <cfloat>
#include <limits>

#include "ops/embedding.h"
#include "ops/linear_scratch.h"
#include "ops/patch_embed.h"
#include "ops/test_support.h"

namespace mobilevlm {
namespace {

using namespace test;

using LinearTest = OpsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, LinearTest, ::testing::ValuesIn(RunnableKernels()), TableName);

constexpr DType kFloatTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,
                            DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

double MostOf(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

std::vector<double> Reference(const std::vector<float>& x, size_t tokens, const TestWeights& w) {
  std::vector<double> y(tokens * w.view.out);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t o = 0; o < w.view.out; ++o) {
      double sum = w.view.bias != nullptr ? w.view.bias[o] : 0.0;
      for (size_t i = 0; i < w.view.in; ++i) sum += x[t * w.view.in + i] * w.exact[o * w.view.in + i];
      y[t * w.view.out + o] = sum;
    }
  }
  return y;
}

// |x| <= 1: every partial sum is below in * w + 1, and there are in + 1 roundings.
double Tolerance(size_t in, double w = 1.7) {
  const double n = static_cast<double>(in) + 1;
  return std::max(w, 1.0) * n * n * FLT_EPSILON / 2;
}

TEST_P(LinearTest, MatchesDoubleOnAwkwardSizes) {
  for (const DType type : kTypes) {
    for (const size_t in : {1u, 32u, 33u, 255u, 256u, 257u, 544u, 768u}) {
      if (!RowBytes(type, in)) continue;
      for (const size_t out : {1u, 15u, 16u, 31u, 32u, 33u, 100u}) {
        for (const size_t tokens : {1u, 5u, 13u}) {
          TestWeights w = RandomWeights(type, out, in, in + out);
          const std::vector<float> bias = RandomFloats(out, 3);
          if (out % 2 == 1) w.view.bias = bias.data();
          const std::vector<float> x = RandomFloats(tokens * in, tokens);
          std::vector<float> y(tokens * out, -99.0f);
          OpsContext exact = threaded();
          exact.float_activations = true;
          Linear(exact, View(x, tokens), w.view, View(y, tokens));
          ASSERT_TRUE(Near(y, Reference(x, tokens, w), Tolerance(in, MostOf(w.exact))))
              << DTypeName(type) << " [" << tokens << ", " << in << "] x [" << out << "]";
        }
      }
    }
  }
}

// Matrices that may be split: x keeps 16 bits where a table splits it, all of them where none does.
TEST_P(LinearTest, SplitMatchesDoubleOnAwkwardSizes) {
  for (const DType type : {DType::kF16, DType::kBF16}) {
    for (const size_t in : {33u, 588u, 1030u}) {
      for (const size_t out : {1u, 17u, 100u, 300u}) {
        for (const size_t tokens : {1u, 17u, 49u}) {
          TestWeights w = RandomWeights(type, out, in, in + out);
          w.view.may_split = true;
          const std::vector<float> bias = RandomFloats(out, 3);
          if (out % 2 == 1) w.view.bias = bias.data();
          const std::vector<float> x = RandomFloats(tokens * in, tokens);
          std::vector<float> y(tokens * out, -99.0f);
          Linear(threaded(), View(x, tokens), w.view, View(y, tokens));
          // The roundings of x and what is left out are below 2^-16 of each product; they are of any sign.
          const double rounding = 6 * std::sqrt(static_cast<double>(in)) * 0x1p-16;
          ASSERT_TRUE(Near(y, Reference(x, tokens, w), Tolerance(in) + rounding))
              << DTypeName(type) << " [" << tokens << ", " << in << "] x [" << out << "]";
        }
      }
    }
  }
}

// The tower's own shapes, in miniature: several parts at once, formats of both kinds, one with other weights.
TEST_P(LinearTest, SplitPartsAreTheSameAsOneAfterTheOther) {
  constexpr size_t kTokens = 37, kIn = 300;
  std::vector<TestWeights> w;
  w.push_back(RandomWeights(DType::kF16, 50, kIn, 1));
  w.push_back(RandomWeights(DType::kBF16, 33, kIn, 2));
  w.push_back(RandomWeights(DType::kF16, 260, kIn, 3));
  for (TestWeights& each : w) each.view.may_split = true;
  const std::vector<float> x = RandomFloats(kTokens * kIn, 5);
  for (const bool mixed : {false, true}) {
    w[1].view.may_split = !mixed;
    std::vector<std::vector<float>> together, apart;
    for (const TestWeights& each : w) together.emplace_back(kTokens * each.view.out);
    apart = together;
    Linear(threaded(), View(x, kTokens),
           {{&w[0].view, View(together[0], kTokens)},
            {&w[1].view, View(together[1], kTokens)},
            {&w[2].view, View(together[2], kTokens)}});
    for (size_t i = 0; i < 3; ++i) {
      Linear(ctx(), View(x, kTokens), w[i].view, View(apart[i], kTokens));
      EXPECT_TRUE(SameBits(together[i], apart[i])) << "part " << i;
    }
  }
}

// How a matrix is stored and packed.
struct Packing {
  DType type;
  PackScales scales = PackScales::kAsStored;
  bool may_split = false;
  bool panels = false;
};
std::vector<Packing> QuantisedPackings() {
  std::vector<Packing> all{{DType::kQ8_0, PackScales::kLongBlocks}};
  for (const DType type : kQuantisedTypes) all.push_back({type});
  return all;
}

// Quantised weights and activations: the same product with x rounded as quant_kernels.h says, so that only
// float rounding is left.
TEST_P(LinearTest, QuantisedMatchesDoubleOnQuantisedActivations) {
  for (const auto& [type, scales, may_split, panels] : QuantisedPackings()) {
    for (const size_t in : {32u, 256u, 544u, 768u}) {
      if (!RowBytes(type, in)) continue;
      for (const size_t out : {1u, 16u, 33u, 100u}) {
        for (const size_t tokens : {1u, 2u, 13u, 25u}) {
          TestWeights w = RandomWeights(type, out, in, in + out, scales);
          const std::vector<float> bias = RandomFloats(out, 3);
          if (out % 2 == 1) w.view.bias = bias.data();
          const std::vector<float> x = RandomFloats(tokens * in, tokens);
          std::vector<float> rounded = x;
          const size_t block = kPackedTraits[w.view.format].block;
          for (size_t b = 0; b < x.size(); b += block) {
            float most = 0;
            for (size_t i = b; i < b + block; ++i) most = std::max(most, std::abs(x[i]));
            for (size_t i = b; i < b + block; ++i)
              rounded[i] = std::nearbyint(x[i] * (127.0f / most)) * (most / 127.0f);
          }
          std::vector<float> y(tokens * out, -99.0f);
          Linear(threaded(), View(x, tokens), w.view, View(y, tokens));
          ASSERT_TRUE(Near(y, Reference(rounded, tokens, w), Tolerance(in, MostOf(w.exact))))
              << DTypeName(type) << " [" << tokens << ", " << in << "] x [" << out << "]";
        }
      }
    }
  }
}

// Query, key and value of different formats in one call are what three calls give.
TEST_P(LinearTest, PartsOfDifferentBlocksAreTheSameAsOneAfterTheOther) {
  constexpr size_t kTokens = 19, kIn = 192;
  const TestWeights a = RandomWeights(DType::kQ8_0, 50, kIn, 1, PackScales::kLongBlocks),
                    b = RandomWeights(DType::kQ4_0, 33, kIn, 2);
  ASSERT_EQ(a.view.format, kPackedLong);
  const std::vector<float> x = RandomFloats(kTokens * kIn, 5);
  std::vector<float> together[] = {std::vector<float>(kTokens * 50), std::vector<float>(kTokens * 33)};
  std::vector<float> apart[] = {together[0], together[1]};
  Linear(threaded(), View(x, kTokens),
         {{&a.view, View(together[0], kTokens)}, {&b.view, View(together[1], kTokens)}});
  Linear(threaded(), View(x, kTokens), a.view, View(apart[0], kTokens));
  Linear(threaded(), View(x, kTokens), b.view, View(apart[1], kTokens));
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(SameBits(together[i], apart[i])) << "part " << i;
}

TEST_P(LinearTest, SeveralPartsAreTheSameAsOneAfterTheOther) {
  for (const size_t tokens : {1u, 14u}) {
    const TestWeights a = RandomWeights(DType::kQ4_K, 50, 256, 1),
                      b = RandomWeights(DType::kQ6_K, 33, 256, 2),
                      c = RandomWeights(DType::kQ4_K, 300, 256, 3),
                      d = RandomWeights(DType::kF16, 20, 256, 4);
    const std::vector<float> x = RandomFloats(tokens * 256, 5);
    const auto run = [&](bool together) {
      std::vector<std::vector<float>> y;
      for (const TestWeights* w : {&a, &b, &c, &d}) y.emplace_back(tokens * w->view.out);
      LinearScratch scratch;
      OpsContext context = threaded();
      context.scratch = &scratch;
      const Mat<const float> in = View(x, tokens);
      if (together) {
        Linear(context, in,
               {{&a.view, View(y[0], tokens)}, {&b.view, View(y[1], tokens)}, {&c.view, View(y[2], tokens)}});
        Linear(context, in, {{&d.view, View(y[3], tokens)}, {&a.view, View(y[0], tokens)}});
      } else {
        Linear(context, in, a.view, View(y[0], tokens));
        Linear(context, in, b.view, View(y[1], tokens));
        Linear(context, in, c.view, View(y[2], tokens));
        Linear(context, in, d.view, View(y[3], tokens));
      }
      return y;
    };
    const auto together = run(true), apart = run(false);
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(SameBits(together[i], apart[i])) << "part " << i;
  }
}

// Design rule: batch 1 equals batch n, one thread equals three and eight, to the bit.
TEST_P(LinearTest, BatchAndThreadsChangeNoBit) {
  ThreadPool eight(8);
  constexpr size_t kTokens = 29;
  constexpr size_t kOut = 1111;
  std::vector<Packing> packings{{DType::kQ8_0, PackScales::kLongBlocks},
                                {DType::kF16, PackScales::kAsStored, true}};
  for (const DType type : kTypes) packings.push_back({type});
  for (const DType type : kFloatTypes) packings.push_back({.type = type, .panels = true});
  for (const auto& [type, scales, may_split, panels] : packings) {
    // 800: a multiple of 32, not of 256
    const size_t in = RowBytes(type, 800) && scales == PackScales::kAsStored ? 800 : 768;
    TestWeights w = RandomWeights(type, kOut, in, 7, scales);
    w.view.may_split = may_split;
    if (panels) AddPanels(w);
    const std::vector<float> bias = RandomFloats(kOut, 8);
    w.view.bias = bias.data();
    const std::vector<float> x = RandomFloats(kTokens * in, 9);
    std::vector<float> batch(kTokens * kOut);
    std::vector<float> several(kTokens * kOut);
    Linear(ctx(), View(x, kTokens), w.view, View(batch, kTokens));
    Linear(threaded(), View(x, kTokens), w.view, View(several, kTokens));
    EXPECT_TRUE(SameBits(batch, several)) << DTypeName(type);
    for (const size_t step : {1u, 3u, 8u, 14u, 17u}) {
      std::vector<float> parts(kTokens * kOut);
      for (size_t t = 0; t < kTokens; t += step) {
        const size_t count = std::min<size_t>(step, kTokens - t);
        Linear(threaded(), View(x, kTokens).Rows(t, count), w.view, View(parts, kTokens).Rows(t, count));
      }
      EXPECT_TRUE(SameBits(batch, parts)) << DTypeName(type) << ", " << step << " at a time";
    }
    for (const size_t count : {size_t{1}, size_t{8}, kTokens}) {
      std::vector<float> found(count * kOut);
      Linear(On(eight), View(x, kTokens).Rows(0, count), w.view, View(found, count));
      EXPECT_TRUE(SameBits({batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(found.size())}, found))
          << DTypeName(type) << ", the first " << count << " by eight threads";
    }
  }
}

// So many tokens that they form groups, one per thread.
TEST_P(LinearTest, GroupsOfTokensChangeNoBit) {
  constexpr size_t kTokens = 32 * kTileRows + 5;
  const TestWeights w = RandomWeights(DType::kF16, 70, 300, 7);
  const std::vector<float> x = RandomFloats(kTokens * 300, 9);
  std::vector<float> one(kTokens * 70);
  std::vector<float> several(kTokens * 70);
  Linear(ctx(), View(x, kTokens), w.view, View(one, kTokens));
  Linear(threaded(), View(x, kTokens), w.view, View(several, kTokens));
  EXPECT_TRUE(SameBits(one, several));
  EXPECT_TRUE(Near(one, Reference(x, kTokens, w), Tolerance(300)));
}

TEST_P(LinearTest, StridedViewsAndNothing) {
  const TestWeights w = RandomWeights(DType::kF16, 40, 50, 1);
  std::vector<float> x = RandomFloats(3 * 60, 2);
  std::vector<float> y(3 * 70, 5.0f);
  const Mat<const float> xs(x.data() + 4, 3, 50, 60);
  const Mat<float> ys(y.data() + 9, 3, 40, 70);
  Linear(ctx(), xs, w.view, ys);
  for (size_t t = 0; t < 3; ++t) {
    const std::vector<float> row(xs.row(t), xs.row(t) + 50);
    const std::vector<float> found(ys.row(t), ys.row(t) + 40);
    EXPECT_TRUE(Near(found, Reference(row, 1, w), Tolerance(50)));
    for (size_t c = 0; c < 70; ++c) {
      if (c >= 9 && c < 49) continue;
      EXPECT_EQ(y[t * 70 + c], 5.0f) << "written outside the view";
    }
  }
  Linear(ctx(), Mat<const float>(nullptr, 0, 50), w.view, Mat<float>(nullptr, 0, 40));
}

TEST_P(LinearTest, NanAndInfinityReachOnlyTheirToken) {
  const TestWeights w = RandomWeights(DType::kQ8_0, 48, 64, 1);
  std::vector<float> x = RandomFloats(3 * 64, 2);
  x[64 + 5] = std::numeric_limits<float>::quiet_NaN();
  x[128 + 6] = std::numeric_limits<float>::infinity();
  std::vector<float> y(3 * 48);
  Linear(ctx(), View(x, 3), w.view, View(y, 3));
  for (size_t o = 0; o < 48; ++o) {
    EXPECT_TRUE(std::isfinite(y[o]));
    EXPECT_TRUE(std::isnan(y[48 + o]));
    EXPECT_FALSE(std::isfinite(y[96 + o]));
  }
}

TEST_P(LinearTest, GatherRowsIsExact) {
  for (const DType type : kTypes) {
    const size_t cols = RowBytes(type, 96) ? 96 : 256;
    const TestWeights table = RandomWeights(type, 11, cols, 4);
    const std::vector<int32_t> ids{10, 0, 3, 3};
    std::vector<float> out(4 * cols);
    GatherRows(threaded(), table.view, ids, View(out, 4));
    for (size_t i = 0; i < ids.size(); ++i) {
      for (size_t c = 0; c < cols; ++c) {
        EXPECT_EQ(out[i * cols + c], table.exact[static_cast<size_t>(ids[i]) * cols + c]) << DTypeName(type);
      }
    }
  }
}

// A 7 x 7 picture with patches of 3: the last row and column of pixels are ignored.
TEST_P(LinearTest, PatchEmbedIsAConvolution) {
  constexpr size_t kSize = 7;
  constexpr size_t kPatch = 3;
  const TestWeights w = RandomWeights(DType::kF16, 10, 3 * kPatch * kPatch, 1);
  const std::vector<float> pixels = RandomFloats(3 * kSize * kSize, 2);
  PatchScratch scratch;
  std::vector<float> y(4 * 10);
  PatchEmbed(threaded(), pixels.data(), kSize, kPatch, w.view, scratch, View(y, 4));
  std::vector<double> wanted;
  for (size_t p = 0; p < 4; ++p) {
    for (size_t o = 0; o < 10; ++o) {
      double sum = 0;
      for (size_t c = 0; c < 3; ++c) {
        for (size_t i = 0; i < kPatch; ++i) {
          for (size_t j = 0; j < kPatch; ++j) {
            sum += w.exact[((o * 3 + c) * kPatch + i) * kPatch + j] *
                   pixels[(c * kSize + p / 2 * kPatch + i) * kSize + p % 2 * kPatch + j];
          }
        }
      }
      wanted.push_back(sum);
    }
  }
  EXPECT_TRUE(Near(y, wanted, Tolerance(27)));
}

}  // namespace
}  // namespace mobilevlm
