// Norms, activations, convolution, pooling and conversion against double precision; and the comparison
// helpers against mutants.
#include <cfloat>
#include <limits>

#include "ops/activation.h"
#include "ops/conv_depthwise.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/test_support.h"

namespace mobilevlm {
namespace {

using namespace test;

using SmallOpsTest = OpsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, SmallOpsTest, ::testing::ValuesIn(RunnableKernels()), TableName);

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_P(SmallOpsTest, Norms) {
  constexpr size_t kRows = 50;
  constexpr size_t kCols = 1003;
  const std::vector<float> x = RandomFloats(kRows * kCols, 1, -3, 5);
  const std::vector<float> gamma = RandomFloats(kCols, 2);
  const std::vector<float> beta = RandomFloats(kCols, 3);
  std::vector<double> layer;
  std::vector<double> rms;
  for (size_t r = 0; r < kRows; ++r) {
    const float* row = x.data() + r * kCols;
    double mean = 0;
    double squares = 0;
    for (size_t c = 0; c < kCols; ++c)
      mean += row[c] / double{kCols}, squares += double{row[c]} * row[c] / kCols;
    for (size_t c = 0; c < kCols; ++c) {
      layer.push_back((row[c] - mean) / std::sqrt(squares - mean * mean + 1e-5) * gamma[c] + beta[c]);
      rms.push_back(row[c] / std::sqrt(squares + 1e-6) * gamma[c]);
    }
  }
  std::vector<float> y(x.size());
  LayerNorm(threaded(), View(x, kRows), gamma, beta, 1e-5f, View(y, kRows));
  EXPECT_TRUE(Near(y, layer, 4e-6));
  y = x;
  RmsNorm(threaded(), View(std::as_const(y), kRows), gamma, 1e-6f, View(y, kRows));
  EXPECT_TRUE(Near(y, rms, 4e-6));
}

using Activation = void (*)(const OpsContext&, Mat<float>);

struct ActivationCase {
  const char* name;
  Activation op;
  double (*exact)(double);
};

double Clamp06(double v) { return std::min(std::max(v, 0.0), 6.0); }

const ActivationCase kActivations[] = {
    {"QuickGelu", QuickGelu, [](double x) { return x / (1 + std::exp(-1.702 * x)); }},
    {"Gelu", Gelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }},
    {"Silu", Silu, [](double x) { return x / (1 + std::exp(-x)); }},
    {"Relu", Relu, [](double x) { return std::max(x, 0.0); }},
    {"HardSwish", HardSwish, [](double x) { return x * Clamp06(x + 3) / 6; }},
    {"HardSigmoid", HardSigmoid, [](double x) { return Clamp06(x + 3) / 6; }},
};

TEST_P(SmallOpsTest, Activations) {
  for (const ActivationCase& test : kActivations) {
    std::vector<float> x = RandomFloats(60 * 1001, 1, -8, 8);  // enough rows that threads share them
    x[777] = kNan;
    std::vector<double> wanted;
    for (const float v : x) wanted.push_back(test.exact(v));
    test.op(threaded(), View(x, 60));
    EXPECT_TRUE(std::isnan(x[777])) << test.name;
    x[777] = 0;
    wanted[777] = 0;
    EXPECT_TRUE(Near(x, wanted, 1.2e-6)) << test.name;  // |x| <= 8, a few roundings
  }
}

TEST_P(SmallOpsTest, SwiGluAndAdd) {
  std::vector<float> gate = RandomFloats(40 * 1001, 1, -8, 8);
  const std::vector<float> up = RandomFloats(40 * 1001, 2);
  std::vector<double> wanted;
  std::vector<double> sum;
  for (size_t i = 0; i < gate.size(); ++i) {
    wanted.push_back(gate[i] / (1 + std::exp(-double{gate[i]})) * up[i]);
    sum.push_back(double{gate[i]} + up[i]);
  }
  std::vector<float> added = gate;
  SwiGlu(threaded(), View(std::as_const(gate), 40), View(up, 40), View(gate, 40));
  EXPECT_TRUE(Near(gate, wanted, 2e-6));
  AddInPlace(threaded(), View(up, 40), View(added, 40));
  EXPECT_TRUE(Near(added, sum, 1e-6));
}

TEST_P(SmallOpsTest, DepthwiseConv3x3) {
  for (const size_t grid : {1u, 2u, 3u, 6u, 7u}) {
    for (const size_t stride : {1u, 2u}) {
      for (const size_t channels : {1u, 16u, 37u}) {
        const std::vector<float> x = RandomFloats(grid * grid * channels, 1);
        const std::vector<float> w = RandomFloats(channels * 9, 2);
        const std::vector<float> bias = RandomFloats(stride == 1 ? channels : 0, 3);
        const size_t g = (grid + stride - 1) / stride;
        std::vector<double> wanted;
        for (size_t p = 0; p < g * g; ++p) {
          for (size_t c = 0; c < channels; ++c) {
            double sum = bias.empty() ? 0.0 : bias[c];
            for (int i = -1; i <= 1; ++i) {
              for (int j = -1; j <= 1; ++j) {
                const int row = static_cast<int>(p / g * stride) + i;
                const int col = static_cast<int>(p % g * stride) + j;
                if (row < 0 || col < 0 || row >= static_cast<int>(grid) || col >= static_cast<int>(grid))
                  continue;
                const size_t at = static_cast<size_t>(row) * grid + static_cast<size_t>(col);
                sum += double{x[at * channels + c]} * w[c * 9 + static_cast<size_t>((i + 1) * 3 + j + 1)];
              }
            }
            wanted.push_back(sum);
          }
        }
        std::vector<float> y(wanted.size(), -9.0f);
        DepthwiseConv3x3(threaded(), View(x, grid * grid), grid, w, bias, stride, View(y, g * g));
        EXPECT_TRUE(Near(y, wanted, 10 * 10 * FLT_EPSILON))
            << grid << " stride " << stride << " x " << channels;
      }
    }
  }
}

TEST_P(SmallOpsTest, Pools) {
  constexpr size_t kChannels = 19;
  const std::vector<float> x = RandomFloats(36 * kChannels, 1);
  std::vector<double> squares;
  for (size_t p = 0; p < 9; ++p) {
    for (size_t c = 0; c < kChannels; ++c) {
      double sum = 0;
      for (const size_t offset : {0u, 1u, 6u, 7u}) {
        sum += x[(p / 3 * 12 + p % 3 * 2 + offset) * kChannels + c];
      }
      squares.push_back(sum / 4);
    }
  }
  std::vector<float> pooled(9 * kChannels);
  AvgPool2x2(threaded(), View(x, 36), 6, View(pooled, 9));
  EXPECT_TRUE(Near(pooled, squares, 4 * FLT_EPSILON));

  std::vector<double> means(kChannels, 0.0);
  for (size_t i = 0; i < x.size(); ++i) means[i % kChannels] += x[i] / 36.0;
  std::vector<float> mean(kChannels);
  GlobalMean(threaded(), View(x, 36), mean);
  EXPECT_TRUE(Near(mean, means, 36 * FLT_EPSILON));

  std::vector<float> scaled = x;
  ScaleChannels(threaded(), mean, View(scaled, 36));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(scaled[i], x[i] * mean[i % kChannels]);
}

// A comparison that lets one of these through proves nothing.
TEST(ComparisonTest, CatchesMutants) {
  const std::vector<float> good = RandomFloats(100, 1, 0.5, 1);
  const std::vector<double> wanted(good.begin(), good.end());
  EXPECT_TRUE(Near(good, wanted, 1e-6));
  EXPECT_TRUE(SameBits(good, good));
  std::vector<std::vector<float>> mutants(4, good);
  mutants[0][99] = kNan;
  mutants[1][50] = -mutants[1][50];
  std::rotate(mutants[2].begin(), mutants[2].begin() + 1, mutants[2].end());
  for (float& v : mutants[3]) v *= 1.01f;
  for (const std::vector<float>& mutant : mutants) {
    EXPECT_FALSE(Near(mutant, wanted, 1e-3));
    EXPECT_FALSE(SameBits(mutant, good));
  }
  std::vector<float> zero{0.0f};
  EXPECT_FALSE(SameBits(zero, {-0.0f}));
}

}  // namespace
}  // namespace mobilevlm
