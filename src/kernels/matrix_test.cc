// Conversion, packing and gemm_panel of every runnable table, against the generic one and double precision.
#include <cfloat>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "kernels/tables.h"
#include "kernels/test_support.h"
#include "tensor/blocks.h"
#include "tensor/half.h"
#include "tensor/mat.h"

namespace mobilevlm {
namespace {

using namespace test;

using MatrixKernelsTest = KernelsTest;
INSTANTIATE_TEST_SUITE_P(AllTables, MatrixKernelsTest, ::testing::ValuesIn(RunnableKernels()), TableName);

// Bytes of a [rows, cols] matrix of one format, starting one byte off any alignment.
struct FormatMatrix {
  std::vector<unsigned char> storage;
  size_t row_bytes = 0;
  const unsigned char* data() const { return storage.data() + 1; }
};

FormatMatrix RandomMatrix(KernelFormat format, size_t rows, size_t cols, uint64_t seed) {
  Random random(seed);
  const size_t element = format == kFormatF32 ? 4 : 2;
  FormatMatrix matrix;
  matrix.row_bytes = format == kFormatQ8_0 ? cols / 32 * sizeof(BlockQ8_0) : cols * element;
  matrix.storage.resize(1 + rows * matrix.row_bytes);  // exact: a read beyond is an ASan report
  unsigned char* out = matrix.storage.data() + 1;
  if (format == kFormatQ8_0) {
    for (size_t i = 0; i < rows * cols / 32; ++i) {
      BlockQ8_0 block{};
      block.d = F32ToF16(static_cast<float>(random.Uniform(-0.1, 0.1)));
      for (int8_t& q : block.qs) q = static_cast<int8_t>(random.Next());
      std::memcpy(out + i * sizeof(block), &block, sizeof(block));
    }
    return matrix;
  }
  for (size_t i = 0; i < rows * cols; ++i) {
    const float value = static_cast<float>(random.Uniform(-2, 2));
    const uint16_t bits = format == kFormatF16 ? F32ToF16(value) : F32ToBf16(value);
    if (format == kFormatF32) {
      std::memcpy(out + i * element, &value, element);
    } else {
      std::memcpy(out + i * element, &bits, element);
    }
  }
  return matrix;
}

TEST_P(MatrixKernelsTest, WidenIsExact) {
  for (int f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<KernelFormat>(f);
    for (const size_t n : kSizes) {
      if (format == kFormatQ8_0 && n % 32 != 0) continue;
      const FormatMatrix in = RandomMatrix(format, 1, n, n + 1);
      std::vector<float> found(n + 1, 7.0f);
      std::vector<float> wanted(n);
      kernels_.widen[format](in.data(), n, found.data());
      kGenericKernels.widen[format](in.data(), n, wanted.data());
      EXPECT_TRUE(SameBits(found.data(), wanted.data(), n)) << "format " << f << ", n " << n;
      EXPECT_EQ(found[n], 7.0f) << "written past the end, format " << f << ", n " << n;
    }
  }
}

// All 65,536 halves there and back; the way back also for values between them.
TEST_P(MatrixKernelsTest, EveryHalfConvertsExactly) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> floats(halves.size());
  kernels_.widen[kFormatF16](halves.data(), halves.size(), floats.data());
  for (size_t i = 0; i < halves.size(); ++i) {
    const float wanted = F16ToF32(halves[i]);
    ASSERT_TRUE(SameBits(&floats[i], &wanted, 1)) << "half " << i;
  }
  std::vector<float> between(floats);
  for (float& value : between) value *= 1.0003f;
  for (const std::vector<float>& values : {floats, between}) {
    std::vector<uint16_t> back(values.size());
    kernels_.to_half(values.data(), values.size(), back.data());
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        ASSERT_TRUE(std::isnan(F16ToF32(back[i]))) << i;
      } else {
        ASSERT_EQ(back[i], F32ToF16(values[i])) << values[i];
      }
    }
  }
}

TEST_P(MatrixKernelsTest, ToHalfStopsAtTheEnd) {
  for (const size_t n : kSizes) {
    const std::vector<float> in = RandomFloats(n, n);
    std::vector<uint16_t> out(n + 1, 0x1234);
    kernels_.to_half(in.data(), n, out.data());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], F32ToF16(in[i]));
    EXPECT_EQ(out[n], 0x1234);
  }
}

TEST_P(MatrixKernelsTest, PackRowsTransposesAndPads) {
  const size_t width = kernels_.panel_width;
  for (int f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<KernelFormat>(f);
    for (const size_t rows : {size_t{1}, width / 2 - 1, width / 2, width / 2 + 1, width - 1, width}) {
      for (const size_t k : kSizes) {
        if (format == kFormatQ8_0 && k % 32 != 0) continue;
        const FormatMatrix in = RandomMatrix(format, rows, k, k * 100 + rows);
        AlignedBuffer<float> panel(kPanelK * width);
        kernels_.pack_rows[format](in.data(), in.row_bytes, rows, k, in.data(), panel.data());
        for (size_t r = 0; r < width; ++r) {
          std::vector<float> row(k, 0.0f);
          if (r < rows) kGenericKernels.widen[format](in.data() + r * in.row_bytes, k, row.data());
          for (size_t j = 0; j < k; ++j) {
            ASSERT_EQ(panel.data()[j * width + r], row[j]) << "format " << f << ", " << rows << " x " << k;
          }
        }
      }
    }
  }
}

TEST_P(MatrixKernelsTest, PackColumnsPads) {
  const size_t width = kernels_.panel_width;
  for (int f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<KernelFormat>(f);
    for (const size_t cols : {size_t{1}, width / 2 - 1, width / 2, width / 2 + 1, width}) {
      for (const size_t k : {0u, 1u, 5u, 256u}) {
        const size_t columns = format == kFormatQ8_0 ? (width + cols + 31) / 32 * 32 : width + cols;
        const FormatMatrix in = RandomMatrix(format, k, columns, k + cols);
        AlignedBuffer<float> panel(kPanelK * width);
        kernels_.pack_columns[format](in.data(), in.row_bytes, width, cols, k, panel.data());
        for (size_t j = 0; j < k; ++j) {
          std::vector<float> row(columns, 0.0f);
          kGenericKernels.widen[format](in.data() + j * in.row_bytes, columns, row.data());
          std::fill(row.begin() + static_cast<ptrdiff_t>(width + cols), row.end(), 0.0f);
          row.resize(2 * width, 0.0f);
          ASSERT_TRUE(SameBits(panel.data() + j * width, row.data() + width, width)) << cols << " x " << k;
        }
      }
    }
  }
}

TEST_P(MatrixKernelsTest, ToQ8_0GivesTheBytesOfTheGenericTable) {
  std::vector<float> in = RandomFloats(5000, 1, -3, 3);
  in[40] = kNan;   // block 1
  in[70] = -kInf;  // block 2
  for (size_t i = 96; i < 128; ++i) in[i] = 0.0f;
  for (size_t i = 128; i < 160; ++i) in[i] = 1e-31f;  // below 2^-100: 0
  for (size_t i = 160; i < 192; ++i) in[i] = 1e-6f;   // a scale below the halves: rounds to 0
  in[200] = 3e7f;                                     // a scale beyond them: infinity
  for (const size_t n : {size_t{0}, size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{80}, in.size()}) {
    std::vector<unsigned char> found((n + 31) / 32 * sizeof(BlockQ8_0) + 1, 0xAB);
    std::vector<unsigned char> wanted(found);
    kernels_.to_q8_0(in.data(), n, found.data());
    kGenericKernels.to_q8_0(in.data(), n, wanted.data());
    ASSERT_EQ(found, wanted) << n << " elements";
    EXPECT_EQ(found.back(), 0xAB);
  }
}

TEST_P(MatrixKernelsTest, ToQ8_0IsWithinHalfAStepAndFillsUpWithZeros) {
  const std::vector<float> in = RandomFloats(80, 1, -3, 3);
  BlockQ8_0 blocks[3];
  kernels_.to_q8_0(in.data(), in.size(), blocks);
  for (size_t b = 0; b < 3; ++b) {
    float max = 0;
    for (size_t i = 32 * b; i < std::min<size_t>(in.size(), 32 * b + 32); ++i)
      max = std::max(max, std::abs(in[i]));
    const float d = F16ToF32(blocks[b].d);
    EXPECT_NEAR(d, max / 127, max / 127 * 0x1p-11);
    for (size_t i = 0; i < 32; ++i) {
      const float x = 32 * b + i < in.size() ? in[32 * b + i] : 0.0f;
      // Half a step, and the scale's own rounding times 127 steps.
      EXPECT_NEAR(d * static_cast<float>(blocks[b].qs[i]), x, d * (0.5f + 127 * 0x1p-11f));
      if (32 * b + i >= in.size()) {
        EXPECT_EQ(blocks[b].qs[i], 0);
      }
    }
  }
}

// Reading weights in place is the same chain as packing them.
TEST_P(MatrixKernelsTest, GemvRowsHasTheBitsOfGemmPanel) {
  const size_t width = kernels_.panel_width;
  const std::vector<float> x = RandomFloats(kTileRows * kTileStride, 3);
  for (int f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<KernelFormat>(f);
    for (const size_t rows : {size_t{0}, size_t{1}, width / 2 - 1, width / 2, width / 2 + 1, width}) {
      for (const size_t k : kSizes) {
        const size_t whole = format == kFormatQ8_0 ? (k + 31) / 32 * 32 : k;
        const FormatMatrix in = RandomMatrix(format, rows, whole, k * 100 + rows);
        AlignedBuffer<float> panel(kPanelK * width);
        kernels_.pack_rows[format](in.data(), in.row_bytes, rows, whole, nullptr, panel.data());
        std::vector<float> wanted = RandomFloats(width + 1, 4);
        std::vector<float> found = wanted;
        kernels_.gemm_panel(x.data(), 1, panel.data(), k, wanted.data(), width, rows);
        kernels_.gemv_rows[format](x.data(), in.data(), in.row_bytes, rows, k, in.data(), found.data());
        ASSERT_TRUE(SameBits(found.data(), wanted.data(), width + 1))
            << "format " << f << ", " << rows << " x " << k;
      }
    }
  }
}

TEST_P(MatrixKernelsTest, GemvColumnsHasTheBitsOfGemmPanel) {
  const size_t width = kernels_.panel_width;
  const std::vector<float> x = RandomFloats(kTileRows * kTileStride, 3);
  for (int f = 0; f < kFormatCount; ++f) {
    const auto format = static_cast<KernelFormat>(f);
    for (const size_t cols :
         {size_t{0}, size_t{2}, size_t{64}, size_t{80}, size_t{90}, size_t{128}, size_t{300}}) {
      for (const size_t k : {0u, 1u, 77u, 256u}) {
        const size_t whole = format == kFormatQ8_0 ? (cols + 31) / 32 * 32 : cols;
        const FormatMatrix in = RandomMatrix(format, k, whole, k * 100 + cols);
        std::vector<float> wanted = RandomFloats(cols + 1, 4);
        std::vector<float> found = wanted;
        for (size_t first = 0; first < cols; first += width) {
          const size_t count = std::min(width, cols - first);
          AlignedBuffer<float> panel(kPanelK * width);
          kernels_.pack_columns[format](in.data(), in.row_bytes, first, count, k, panel.data());
          kernels_.gemm_panel(x.data(), 1, panel.data(), k, wanted.data() + first, width, count);
        }
        kernels_.gemv_columns[format](x.data(), in.data(), in.row_bytes, cols, k,
                                      k % 2 == 0 ? in.data() : nullptr, found.data());
        ASSERT_TRUE(SameBits(found.data(), wanted.data(), cols + 1))
            << "format " << f << ", " << cols << " x " << k;
      }
    }
  }
}

TEST_P(MatrixKernelsTest, GemmWidePanelHasTheBitsOfGemmPanel) {
  const size_t width = kernels_.panel_width, stride = kWidePanel + 3;
  const std::vector<float> x = RandomFloats(kTileRows * kTileStride, 3);
  for (const KernelFormat format : {kFormatF32, kFormatF16, kFormatBF16}) {
    for (const size_t k : {0u, 1u, 77u, 256u}) {
      const FormatMatrix in = RandomMatrix(format, k, kWidePanel, k);
      for (size_t rows = 0; rows <= kTileRows; ++rows) {
        for (const size_t cols : {1u, 15u, 33u, 64u}) {
          std::vector<float> wanted = RandomFloats(kTileRows * stride, 4), found = wanted;
          for (size_t first = 0; first < cols; first += width) {
            AlignedBuffer<float> panel(kPanelK * width);
            kernels_.pack_columns[format](in.data(), in.row_bytes, first, width, k, panel.data());
            kernels_.gemm_panel(x.data(), rows, panel.data(), k, wanted.data() + first, stride,
                                std::min(width, cols - first));
          }
          kernels_.gemm_wide_panel[format](x.data(), rows, in.data(), k, k % 2 == 0 ? in.data() : nullptr,
                                           found.data(), stride, cols);
          ASSERT_TRUE(SameBits(found.data(), wanted.data(), found.size()))
              << "format " << format << ", " << rows << " rows, " << cols << " x " << k;
        }
      }
    }
  }
}

struct GemmCase {
  AlignedBuffer<float> x{kTileRows * kTileStride};
  AlignedBuffer<float> panel;
  std::vector<float> start;
};

GemmCase MakeGemmCase(size_t width, size_t k, uint64_t seed) {
  GemmCase made;
  made.panel.Reserve(kPanelK * width);
  const std::vector<float> x = RandomFloats(kTileRows * kTileStride, seed);
  const std::vector<float> panel = RandomFloats(k * width, seed + 1);
  std::memcpy(made.x.data(), x.data(), x.size() * sizeof(float));
  if (k > 0) std::memcpy(made.panel.data(), panel.data(), panel.size() * sizeof(float));
  made.start = RandomFloats(kTileRows * (width + 3), seed + 2);
  return made;
}

TEST_P(MatrixKernelsTest, GemmPanelAgainstDouble) {
  const size_t width = kernels_.panel_width;
  const size_t stride = width + 3;
  for (size_t rows = 0; rows <= kTileRows; ++rows) {
    for (const size_t cols : {size_t{1}, width / 2, width / 2 + 1, width - 1, width}) {
      for (const size_t k : {0u, 1u, 2u, 31u, 256u}) {
        const GemmCase in = MakeGemmCase(width, k, rows * 1000 + cols * 10 + k);
        std::vector<float> y = in.start;
        kernels_.gemm_panel(in.x.data(), rows, in.panel.data(), k, y.data(), stride, cols);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t r = i / stride;
          const size_t c = i % stride;
          if (r >= rows || c >= cols) {
            ASSERT_EQ(y[i], in.start[i]) << "written outside";
            continue;
          }
          double sum = in.start[i];
          double norm = std::abs(sum);
          for (size_t j = 0; j < k; ++j) {
            const double product =
                static_cast<double>(in.x.data()[r * kTileStride + j]) * in.panel.data()[j * width + c];
            sum += product;
            norm += std::abs(product);
          }
          // One rounding per product and per sum at most (Higham, Accuracy and Stability, 3.1).
          ASSERT_NEAR(y[i], sum, norm * FLT_EPSILON * static_cast<double>(k + 1))
              << rows << " " << cols << " " << k;
        }
      }
    }
  }
}

// The rule that speculation and batching rely on: a row's sums do not depend on its tile, and a cut in k is
// no seam.
TEST_P(MatrixKernelsTest, GemmPanelRowsAndCutsChangeNoBit) {
  const size_t width = kernels_.panel_width;
  const GemmCase in = MakeGemmCase(width, kPanelK, 5);
  const std::vector<float> start = RandomFloats(kTileRows * width, 6);
  std::vector<float> together = start;
  kernels_.gemm_panel(in.x.data(), kTileRows, in.panel.data(), kPanelK, together.data(), width, width);
  std::vector<float> alone = start;
  for (size_t r = 0; r < kTileRows; ++r) {
    const float* x = in.x.data() + r * kTileStride;
    kernels_.gemm_panel(x, 1, in.panel.data(), 100, alone.data() + r * width, width, width);
    kernels_.gemm_panel(x + 100, 1, in.panel.data() + 100 * width, kPanelK - 100, alone.data() + r * width,
                        width, width - 1);
    kernels_.gemm_panel(x + 100, 1, in.panel.data() + 100 * width + width - 1, 0, alone.data(), width, 1);
  }
  for (size_t r = 0; r < kTileRows; ++r) {
    EXPECT_TRUE(SameBits(together.data() + r * width, alone.data() + r * width, width - 1)) << "row " << r;
  }
}

TEST_P(MatrixKernelsTest, GemmPanelPropagatesNanAndInfinity) {
  const size_t width = kernels_.panel_width;
  GemmCase in = MakeGemmCase(width, 4, 9);
  in.x.data()[1] = kNan;                  // row 0
  in.x.data()[kTileStride + 2] = kInf;    // row 1
  in.panel.data()[2 * width] = 1.0f;      // Inf * 1
  in.panel.data()[2 * width + 1] = 0.0f;  // Inf * 0
  std::vector<float> y(3 * width, 0.0f);
  kernels_.gemm_panel(in.x.data(), 3, in.panel.data(), 4, y.data(), width, width);
  for (size_t c = 0; c < width; ++c) EXPECT_TRUE(std::isnan(y[c]));
  EXPECT_EQ(y[width], kInf);
  EXPECT_TRUE(std::isnan(y[width + 1]));
  for (size_t c = 0; c < width; ++c) EXPECT_TRUE(std::isfinite(y[2 * width + c]));
}

}  // namespace
}  // namespace mobilevlm
