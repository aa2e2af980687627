// The elementwise and row kernels of every runnable table, against double precision; and the dispatch.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/tables.h"
#include "kernels/test_support.h"

namespace mobilevlm {
namespace {

using namespace test;

using RowKernelsTest = KernelsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, RowKernelsTest, ::testing::ValuesIn(RunnableKernels()), TableName);

// exp_sum with max 0 is exp itself: below 3 units in the last place of the double result, over the whole
// range; below the normal range an absolute half step of the subnormals more.
TEST_P(RowKernelsTest, ExpMatchesDouble) {
  std::vector<float> x;
  for (double v = -110; v < 90; v += 0.00737) x.push_back(static_cast<float>(v));
  std::vector<float> y(x);
  kernels_.exp_sum(y.data(), y.size(), 0.0f);
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = std::exp(static_cast<double>(x[i]));
    if (wanted > FLT_MAX) {
      ASSERT_EQ(y[i], kInf) << x[i];
    } else {
      ASSERT_NEAR(y[i], wanted, 3 * wanted * FLT_EPSILON / 2 + 0x1.0p-149) << x[i];
    }
  }
  float special[] = {0.0f, kInf, -kInf, kNan};
  kernels_.exp_sum(special, 4, 0.0f);
  EXPECT_EQ(special[0], 1.0f);
  EXPECT_EQ(special[1], kInf);
  EXPECT_EQ(special[2], 0.0f);
  EXPECT_TRUE(std::isnan(special[3]));
}

TEST_P(RowKernelsTest, ExpSumAndMaxOnAwkwardSizes) {
  for (const size_t n : kSizes) {
    std::vector<float> x = RandomFloats(n + 1, n, -9, 4);
    const std::vector<float> before = x;
    float max = -kInf;
    for (size_t i = 0; i < n; ++i) max = std::max(max, x[i]);
    EXPECT_EQ(kernels_.max(x.data(), n), max) << n;
    const float sum = kernels_.exp_sum(x.data(), n, n == 0 ? 0.0f : max);
    double wanted = 0;
    for (size_t i = 0; i < n; ++i) wanted += std::exp(static_cast<double>(before[i]) - max);
    EXPECT_NEAR(sum, wanted, wanted * FLT_EPSILON * (16 + static_cast<double>(n))) << n;
    EXPECT_EQ(x[n], before[n]) << "written past the end";
  }
}

using Elementwise = void (*)(const float*, size_t, float*);

struct ElementwiseCase {
  const char* name;
  Elementwise KernelTable::*kernel;
  double (*exact)(double);
  double tolerance;  // absolute, in units of max(1, |x|): errors of sigmoid and erf are multiplied by x
};

const ElementwiseCase kElementwise[] = {
    {"quick_gelu", &KernelTable::quick_gelu, [](double x) { return x / (1 + std::exp(-1.702 * x)); }, 3e-7},
    {"gelu", &KernelTable::gelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, 2e-7},
    {"silu", &KernelTable::silu, [](double x) { return x / (1 + std::exp(-x)); }, 3e-7},
};

TEST_P(RowKernelsTest, ActivationsMatchDouble) {
  for (const ElementwiseCase& test : kElementwise) {
    std::vector<float> x;
    for (double v = -30; v < 30; v += 0.00173) x.push_back(static_cast<float>(v));
    x.insert(x.end(), {1e-30f, -1e-30f, 0.0f, 1e30f, -1e30f, kInf});
    std::vector<float> y(x.size());
    (kernels_.*test.kernel)(x.data(), x.size(), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isinf(x[i])) {
        ASSERT_EQ(y[i], kInf) << test.name;
        continue;
      }
      const double wanted = test.exact(x[i]);
      ASSERT_NEAR(y[i], wanted, test.tolerance * std::max(1.0, std::abs(static_cast<double>(x[i]))))
          << test.name << " " << x[i];
    }
  }
}

TEST_P(RowKernelsTest, ActivationsOnAwkwardSizes) {
  for (const ElementwiseCase& test : kElementwise) {
    for (const size_t n : kSizes) {
      std::vector<float> x = RandomFloats(n + 2, n, -6, 6);
      if (n > 0) x[n / 2 + 1] = kNan;
      std::vector<float> wanted(n + 1);
      (kGenericKernels.*test.kernel)(x.data() + 1, n, wanted.data());  // one float off the buffer's alignment
      const float guard = x[n + 1];
      (kernels_.*test.kernel)(x.data() + 1, n, x.data() + 1);  // in place
      for (size_t i = 0; i < n; ++i) {
        if (i == n / 2) {
          EXPECT_TRUE(std::isnan(x[i + 1])) << test.name;
        } else {
          EXPECT_NEAR(x[i + 1], wanted[i], 6 * test.tolerance) << test.name << " " << n;
        }
      }
      EXPECT_EQ(x[n + 1], guard) << "written past the end";
    }
  }
}

TEST_P(RowKernelsTest, SwiGluAndScale) {
  for (const size_t n : kSizes) {
    const std::vector<float> gate = RandomFloats(n, n, -6, 6);
    const std::vector<float> up = RandomFloats(n, n + 1);
    std::vector<float> y(n + 1, 7.0f);
    kernels_.swiglu(gate.data(), up.data(), n, y.data());
    for (size_t i = 0; i < n; ++i) {
      const double wanted = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
      EXPECT_NEAR(y[i], wanted, 1e-6 * std::max(1.0, std::abs(wanted)));
    }
    EXPECT_EQ(y[n], 7.0f);
    std::vector<float> scaled = up;
    kernels_.scale(scaled.data(), n, 0.3f);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(scaled[i], up[i] * 0.3f);
  }
}

TEST_P(RowKernelsTest, NormsMatchDouble) {
  for (const size_t n : {1u, 2u, 7u, 8u, 9u, 16u, 17u, 33u, 1024u, 5632u}) {
    std::vector<float> x = RandomFloats(n, n);
    for (float& value : x) value += 3.0f;  // a mean the variance must not suffer from
    const std::vector<float> gamma = RandomFloats(n, n + 1);
    const std::vector<float> beta = RandomFloats(n, n + 2);
    double sum = 0;
    double squares = 0;
    for (const float v : x) sum += v, squares += static_cast<double>(v) * v;
    const double mean = sum / static_cast<double>(n);
    double variance = 0;
    for (const float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
    std::vector<float> layer(n);
    std::vector<float> rms(x);
    kernels_.layer_norm(x.data(), gamma.data(), beta.data(), 1e-5f, n, layer.data());
    kernels_.rms_norm(rms.data(), gamma.data(), 1e-6f, n, rms.data());
    for (size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(layer[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * gamma[i] + beta[i], 4e-6) << n;
      EXPECT_NEAR(rms[i], x[i] / std::sqrt(squares / static_cast<double>(n) + 1e-6) * gamma[i], 4e-6) << n;
    }
    x[n / 2] = kNan;
    kernels_.layer_norm(x.data(), gamma.data(), beta.data(), 1e-5f, n, layer.data());
    for (const float v : layer) EXPECT_TRUE(std::isnan(v));
  }
}

TEST_P(RowKernelsTest, RopeMatchesGeneric) {
  for (const size_t pairs : {0u, 1u, 3u, 4u, 5u, 7u, 8u, 9u, 16u, 32u, 40u}) {
    std::vector<float> x = RandomFloats(2 * pairs + 1, pairs);
    std::vector<float> wanted = x;
    std::vector<float> cos(pairs);
    std::vector<float> sin(pairs);
    for (size_t i = 0; i < pairs; ++i) {
      cos[i] = std::cos(static_cast<float>(i) + 0.5f);
      sin[i] = std::sin(static_cast<float>(i) + 0.5f);
    }
    kernels_.rope(x.data(), cos.data(), sin.data(), pairs);
    kGenericKernels.rope(wanted.data(), cos.data(), sin.data(), pairs);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], wanted[i], 1e-6) << pairs;
  }
}

TEST_P(RowKernelsTest, WeightedSumMatchesDouble) {
  for (const size_t n : kSizes) {
    for (const size_t taps : {0u, 1u, 4u, 9u}) {
      const std::vector<float> bias = RandomFloats(n, 1);
      std::vector<std::vector<float>> x;
      std::vector<std::vector<float>> w;
      std::vector<const float*> x_rows;
      std::vector<const float*> w_rows;
      for (size_t t = 0; t < taps; ++t) {
        x.push_back(RandomFloats(n, 2 * t + 2));
        w.push_back(RandomFloats(n, 2 * t + 3));
      }
      for (size_t t = 0; t < taps; ++t) x_rows.push_back(x[t].data()), w_rows.push_back(w[t].data());
      std::vector<float> y(n + 1, 7.0f);
      const bool with_bias = n % 2 == 0;
      kernels_.weighted_sum(x_rows.data(), w_rows.data(), taps, with_bias ? bias.data() : nullptr, n,
                            y.data());
      for (size_t c = 0; c < n; ++c) {
        double wanted = with_bias ? bias[c] : 0.0;
        for (size_t t = 0; t < taps; ++t) wanted += static_cast<double>(x[t][c]) * w[t][c];
        EXPECT_NEAR(y[c], wanted, 40 * 10 * FLT_EPSILON);
      }
      EXPECT_EQ(y[n], 7.0f);
    }
  }
}

TEST(DispatchTest, ChoosesAndRefuses) {
  const std::vector<const KernelTable*> runnable = RunnableKernels();
  ASSERT_FALSE(runnable.empty());
  EXPECT_STREQ(runnable.front()->name, "generic");
  EXPECT_EQ(ChooseKernels("").value(), runnable.back());
  for (const KernelTable* table : runnable) EXPECT_EQ(ChooseKernels(table->name).value(), table);
  const auto unknown = ChooseKernels("avx1024");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("MOBILEVLM_ISA=avx1024"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("generic"), std::string::npos);
}

TEST(DispatchTest, ACpuWithoutTheForcedInstructionsSaysSo) {
  KernelTable plain = *RunnableKernels().front(), wide = plain, wider = plain;
  plain.name = "plain", wide.name = "wide", wider.name = "wider";
  const KernelCandidate candidates[] = {{&plain, true}, {&wide, true}, {&wider, false}};
  EXPECT_EQ(ChooseKernels("", candidates).value(), &wide);
  EXPECT_EQ(ChooseKernels("plain", candidates).value(), &plain);
  const auto missing = ChooseKernels("wider", candidates);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "MOBILEVLM_ISA=wider: this CPU lacks these instructions; it can run: plain, wide");
  const auto unknown = ChooseKernels("widest", candidates);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message,
            "MOBILEVLM_ISA=widest: no such kernels in this build; it can run: plain, wide");
}

}  // namespace
}  // namespace mobilevlm
