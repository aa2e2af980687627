// The product that libtorch calls, against sums in double precision.
#include "train/cpu/sgemm.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

namespace mobilevlm::train {
namespace {

// Element (row, column) of op(M), M by columns.
float At(const std::vector<float>& matrix, int leading, bool transposed, int row, int column) {
  return transposed ? matrix[static_cast<size_t>(row) * leading + column]
                    : matrix[static_cast<size_t>(column) * leading + row];
}

std::vector<float> Waves(int leading, int columns, double step) {
  std::vector<float> values(static_cast<size_t>(leading) * static_cast<size_t>(columns));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(std::sin(step * static_cast<double>(i)));
  return values;
}

void ExpectProduct(int m, int n, int k, bool ta, bool tb, float alpha, float beta, int spare) {
  const int lda = (ta ? k : m) + spare, ldb = (tb ? n : k) + spare, ldc = m + spare;
  const std::vector<float> a = Waves(lda, ta ? m : k, 0.37), b = Waves(ldb, tb ? k : n, 0.11);
  const std::vector<float> before = Waves(ldc, n, 0.71);
  std::vector<float> c = before;
  sgemm_(ta ? "T" : "n", tb ? "t" : "N", &m, &n, &k, &alpha, a.data(), &lda, b.data(), &ldb, &beta, c.data(),
         &ldc);
  for (int column = 0; column < n; ++column) {
    for (int row = 0; row < ldc; ++row) {
      const size_t at = static_cast<size_t>(column) * ldc + row;
      if (row >= m) {
        EXPECT_EQ(c[at], before[at]) << "between the columns";
        continue;
      }
      double sum = 0, size = 0;
      for (int i = 0; i < k; ++i) {
        const double product =
            static_cast<double>(At(a, lda, ta, row, i)) * static_cast<double>(At(b, ldb, tb, i, column));
        sum += product;
        size += std::abs(product);
      }
      const double wanted = alpha * sum + static_cast<double>(beta) * before[at];
      // Sums of k rounded products: k steps of 2^-24 of their size at most.
      EXPECT_NEAR(c[at], wanted, (k + 2) * std::ldexp(size + 1, -24)) << m << " " << n << " " << k;
    }
  }
}

constexpr std::array<std::array<int, 3>, 7> kShapes{
    {{1, 1, 1}, {1, 33, 5}, {31, 1, 64}, {16, 48, 32}, {67, 91, 129}, {128, 128, 64}, {5, 7, 300}}};

class Sgemm : public testing::Test {
 protected:
  void SetUp() override {  // as libtorch would
    loaded_ = ::dlopen("libdnnl.so.2", RTLD_NOW | RTLD_GLOBAL) != nullptr;
    if (!loaded_) GTEST_SKIP() << "no oneDNN here";
  }
  bool loaded_ = false;
};

TEST_F(Sgemm, IsTheProductOfEveryShape) {
  for (const int spare : {0, 3}) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        for (const auto& [m, n, k] : kShapes) {
          ExpectProduct(m, n, k, ta, tb, 1.0f, 0.0f, spare);
          ExpectProduct(m, n, k, ta, tb, -0.5f, 1.0f, spare);
        }
      }
    }
  }
#if defined(__x86_64__)
  EXPECT_EQ(UsedSgemm(), SgemmLibrary::kOneDnn);
#endif
}

// beta 0 does not read what was there.
TEST_F(Sgemm, OverwritesWhatIsNotANumber) {
  const int one = 1;
  const float alpha = 1, beta = 0, a = 2, b = 3;
  float c = NAN;
  sgemm_("N", "N", &one, &one, &one, &alpha, &a, &one, &b, &one, &beta, &c, &one);
  EXPECT_EQ(c, 6.0f);
}

}  // namespace
}  // namespace mobilevlm::train
