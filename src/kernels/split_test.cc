// Products of split floats (kernels/split_kernels.h): every table that has them against the scalar ones, bit
// for bit, and those against double precision.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/tables.h"
#include "kernels/test_support.h"
#include "tensor/half.h"
#include "tensor/mat.h"

namespace mobilevlm {
namespace {

using namespace test;

constexpr size_t kRowCounts[] = {1, 15, 16, 17, 31, 32};
constexpr size_t kDepths[] = {1, 2, 31, 32, 33, 100, 256, 588};

struct NamedKernels {
  const char* name;
  const SplitKernels* kernels;
};
std::vector<NamedKernels> RunnableSplitKernels() {
  std::vector<NamedKernels> all{{"generic", &kGenericSplitKernels}};
  for (const KernelTable* table : RunnableKernels()) {
    if (table->split != nullptr) all.push_back({table->name, table->split});
  }
  return all;
}

class SplitKernelsTest : public ::testing::TestWithParam<NamedKernels> {
 protected:
  const SplitKernels& kernels_ = *GetParam().kernels;
};
INSTANTIATE_TEST_SUITE_P(AllTables, SplitKernelsTest, ::testing::ValuesIn(RunnableSplitKernels()),
                         [](const auto& each) { return std::string(each.param.name); });

// [rows, k] of one format, one byte off any alignment and not a byte longer.
struct Matrix {
  std::vector<unsigned char> storage;
  std::vector<float> exact;
  size_t row_bytes;
  const unsigned char* data() const { return storage.data() + 1; }
};
Matrix MakeMatrix(KernelFormat format, size_t rows, size_t k, const std::vector<float>& values) {
  const size_t element = format == kFormatF32 ? 4 : 2;
  Matrix made{std::vector<unsigned char>(1 + rows * k * element), values, k * element};
  for (size_t i = 0; i < rows * k; ++i) {
    unsigned char* to = made.storage.data() + 1 + i * element;
    if (format == kFormatF32) {
      std::memcpy(to, &values[i], 4);
      continue;
    }
    const uint16_t bits = format == kFormatF16 ? F32ToF16(values[i]) : F32ToBf16(values[i]);
    std::memcpy(to, &bits, 2);
    made.exact[i] = format == kFormatF16 ? F16ToF32(bits) : Bf16ToF32(bits);
  }
  return made;
}

float HighPlusLow(const uint16_t* high) { return Bf16ToF32(*high) + Bf16ToF32(high[kSplitTile]); }

TEST_P(SplitKernelsTest, EveryHalfAndEveryBfloatSplitsExactly) {
  for (const KernelFormat format : {kFormatF16, kFormatBF16}) {
    AlignedBuffer<uint16_t> panel(kSplitStep);
    for (uint32_t first = 0; first < 65536; first += kSplitTile) {
      std::vector<uint16_t> bits(kSplitTile);
      for (size_t i = 0; i < kSplitTile; ++i) bits[i] = static_cast<uint16_t>(first + i);
      kernels_.split_weights[format](bits.data(), 2 * kSplitInputs, kSplitTileRows, kSplitInputs, bits.data(),
                                     panel.data());
      for (size_t i = 0; i < kSplitTile; ++i) {
        const size_t row = i / kSplitInputs, j = i % kSplitInputs;
        const float wanted = format == kFormatF16 ? F16ToF32(bits[i]) : Bf16ToF32(bits[i]);
        const float found = HighPlusLow(panel.data() + j / 2 * kSplitInputs + 2 * row + j % 2);
        if (std::isnan(wanted)) {
          ASSERT_TRUE(std::isnan(found)) << "bits " << bits[i];
        } else if (format == kFormatF16 || std::abs(wanted) >= 0x1p-126f) {
          ASSERT_EQ(found, wanted) << "bits " << bits[i];
        }
      }
    }
  }
}

TEST_P(SplitKernelsTest, RowsKeepSixteenBits) {
  std::vector<float> x = RandomFloats(kSplitTile, 1, -8, 8);
  x[3] = 0.0f, x[5] = -1e-30f, x[6] = 3e38f, x[9] = 1.00390625f;
  AlignedBuffer<uint16_t> split(kSplitStep);
  kernels_.split_rows(x.data(), kSplitInputs, kSplitTileRows, kSplitInputs, split.data());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(HighPlusLow(split.data() + i), x[i], std::abs(x[i]) * 0x1p-17f) << x[i];
  }
}

// What the two ways to split write, byte for byte, with rows and inputs missing.
TEST_P(SplitKernelsTest, SplittingHasTheBitsOfTheScalarCode) {
  for (const size_t rows : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{27}, kSplitRows}) {
    for (const size_t k : kDepths) {
      std::vector<float> values = RandomFloats(rows * k, rows + k, -3, 3);
      if (rows > 1) values[0] = kInf, values[1] = kNan, values[2] = -0.0f, values[3] = 1e-41f;
      const size_t size = SplitSteps(k) * kSplitStep;
      AlignedBuffer<uint16_t> found(size + 1), wanted(size + 1);
      found.data()[size] = wanted.data()[size] = 0x1234;
      const auto same = [&] {
        return std::equal(found.data(), found.data() + size + 1, wanted.data(), [](uint16_t a, uint16_t b) {
          return a == b || (std::isnan(Bf16ToF32(a)) && std::isnan(Bf16ToF32(b)));
        });
      };
      kernels_.split_rows(values.data(), k, rows, k, found.data());
      kGenericSplitKernels.split_rows(values.data(), k, rows, k, wanted.data());
      EXPECT_TRUE(same()) << rows << " rows of " << k;
      for (const KernelFormat format : {kFormatF32, kFormatF16, kFormatBF16}) {
        const Matrix in = MakeMatrix(format, rows, k, values);
        kernels_.split_weights[format](in.data(), in.row_bytes, rows, k, in.data(), found.data());
        kGenericSplitKernels.split_weights[format](in.data(), in.row_bytes, rows, k, nullptr, wanted.data());
        EXPECT_TRUE(same()) << "format " << format << ", " << rows << " rows of " << k;
      }
    }
  }
}

struct Operands {
  Operands(KernelFormat format, size_t rows, size_t cols, size_t k, uint64_t seed)
      : x(RandomFloats(rows * k, seed)),
        w(MakeMatrix(format, cols, k, RandomFloats(cols * k, seed + 1))),
        start(RandomFloats(32 * 32, seed + 2)),
        split_x(SplitSteps(k) * kSplitStep),
        panels(SplitSteps(k) * kSplitStep) {
    kGenericSplitKernels.split_rows(x.data(), k, rows, k, split_x.data());
    kGenericSplitKernels.split_weights[format](w.data(), w.row_bytes, cols, k, nullptr, panels.data());
  }
  std::vector<float> Multiply(const SplitKernels& kernels, size_t rows, size_t cols, size_t steps) const {
    std::vector<float> y(kSplitRows * 35, 77.0f);
    kernels.begin();
    kernels.gemm(split_x.data(), rows, panels.data(), steps, {start.data(), kSplitRows}, {y.data(), 35},
                 cols);
    kernels.end();
    return y;
  }
  std::vector<float> x;
  Matrix w;
  std::vector<float> start;
  AlignedBuffer<uint16_t> split_x, panels;
};

TEST_P(SplitKernelsTest, GemmAgainstDoubleAndTheScalarBits) {
  for (const KernelFormat format : {kFormatF32, kFormatF16, kFormatBF16}) {
    for (const size_t rows : kRowCounts) {
      for (const size_t cols : kRowCounts) {
        for (const size_t k : {1u, 33u, 96u, 140u}) {
          const Operands in(format, rows, cols, k, rows * 1000 + cols * 10 + k);
          const std::vector<float> y = in.Multiply(kernels_, rows, cols, SplitSteps(k));
          const std::vector<float> bits = in.Multiply(kGenericSplitKernels, rows, cols, SplitSteps(k));
          ASSERT_TRUE(SameBits(y.data(), bits.data(), y.size())) << rows << " x " << k << " x " << cols;
          for (size_t r = 0; r < rows; ++r) {
            for (size_t c = 0; c < cols; ++c) {
              double sum = in.start[r * 32 + c], norm = std::abs(sum);
              for (size_t j = 0; j < k; ++j) {
                const double product = static_cast<double>(in.x[r * k + j]) * in.w.exact[c * k + j];
                sum += product, norm += std::abs(product);
              }
              // 2^-17 for x, the same for what is left out, and for weights in F32; then the sums' roundings.
              ASSERT_NEAR(y[r * 35 + c], sum, norm * (3 * 0x1p-17 + 0x1p-24 * static_cast<double>(k)));
            }
          }
        }
      }
    }
  }
}

// Rows do not see each other, and a cut between steps is no seam.
TEST_P(SplitKernelsTest, RowsAndCutsChangeNoBit) {
  constexpr size_t kDepth = 256, kSteps = kDepth / kSplitInputs, kCut = 3;
  const Operands in(kFormatF16, 32, 32, kDepth, 5);
  const std::vector<float> whole = in.Multiply(kernels_, 32, 32, kSteps);
  const std::vector<float> one_tile = in.Multiply(kernels_, 3, 9, kSteps);
  std::vector<float> cut = in.start;
  kernels_.begin();
  const PairSums sums{cut.data(), 32};
  kernels_.gemm(in.split_x.data(), 32, in.panels.data(), kCut, {cut.data(), 32}, sums, 32);
  kernels_.gemm(in.split_x.data() + kCut * kSplitStep, 32, in.panels.data() + kCut * kSplitStep,
                kSteps - kCut, {cut.data(), 32}, sums, 32);
  kernels_.end();
  for (size_t r = 0; r < 32; ++r) EXPECT_TRUE(SameBits(&whole[r * 35], &cut[r * 32], 32)) << "row " << r;
  for (size_t r = 0; r < 3; ++r) EXPECT_TRUE(SameBits(&whole[r * 35], &one_tile[r * 35], 9)) << "row " << r;
}

TEST_P(SplitKernelsTest, ABiasStartsEveryRow) {
  const Operands in(kFormatF16, 20, 20, 64, 6);
  std::vector<float> y(32 * 35), rows(32 * 35);
  std::vector<float> bias = RandomFloats(32, 7), copies;
  for (size_t r = 0; r < 32; ++r) copies.insert(copies.end(), bias.begin(), bias.end());
  kernels_.begin();
  kernels_.gemm(in.split_x.data(), 20, in.panels.data(), 2, {bias.data(), 0}, {y.data(), 35}, 20);
  kernels_.gemm(in.split_x.data(), 20, in.panels.data(), 2, {copies.data(), 32}, {rows.data(), 35}, 20);
  kernels_.end();
  EXPECT_EQ(y, rows);
}

TEST_P(SplitKernelsTest, NanAndInfinityReachOnlyTheirRow) {
  Operands in(kFormatF16, 3, 32, 32, 9);
  in.x[1] = kNan;
  in.x[32 + 2] = kInf;
  kGenericSplitKernels.split_rows(in.x.data(), 32, 3, 32, in.split_x.data());
  const std::vector<float> y = in.Multiply(kernels_, 3, 32, 1);
  for (size_t c = 0; c < 32; ++c) {
    EXPECT_TRUE(std::isnan(y[c]));
    EXPECT_FALSE(std::isfinite(y[35 + c]));
    EXPECT_TRUE(std::isfinite(y[70 + c]));
  }
}

}  // namespace
}  // namespace mobilevlm
