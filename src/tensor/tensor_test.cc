#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>

#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/mat.h"
#include "tensor/npy.h"
#if defined(__x86_64__) && defined(__clang__)
#include <immintrin.h>
#endif

namespace mobilevlm {
namespace {

// The compiler's own half is the oracle, or the processor's where the compiler has none.
#if defined(__x86_64__) && defined(__clang__)  // clang 14 has no _Float16 there
__attribute__((target("f16c"))) float NativeWiden(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}
__attribute__((target("f16c"))) uint16_t NativeNarrow(float value) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), _MM_FROUND_TO_NEAREST_INT)));
}
#else
#if defined(__aarch64__)
using NativeHalf = __fp16;  // g++ 12 has no _Float16 for C++ there
#else
using NativeHalf = _Float16;
#endif
float NativeWiden(uint16_t half) { return static_cast<float>(std::bit_cast<NativeHalf>(half)); }
uint16_t NativeNarrow(float value) { return std::bit_cast<uint16_t>(static_cast<NativeHalf>(value)); }
#endif

TEST(Half, EveryF16WidensAndReturns) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = F16ToF32(static_cast<f16_t>(bits));
    const float oracle = NativeWiden(static_cast<uint16_t>(bits));
    if (std::isnan(oracle)) {
      EXPECT_TRUE(std::isnan(wide));
      continue;
    }
    EXPECT_EQ(std::bit_cast<uint32_t>(wide), std::bit_cast<uint32_t>(oracle));
    EXPECT_EQ(F32ToF16(wide), bits);
  }
}

TEST(Half, NarrowingRoundsToNearestEven) {
  for (uint64_t i = 0; i < (uint64_t{1} << 32); i += 65521 / 7) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(i));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(value))));
      EXPECT_TRUE(std::isnan(Bf16ToF32(F32ToBf16(value))));
      continue;
    }
    EXPECT_EQ(F32ToF16(value), NativeNarrow(value)) << value;
    const float back = Bf16ToF32(F32ToBf16(value));
    if (std::isfinite(back)) {
      EXPECT_LE(std::fabs(back - value), std::fabs(value) * 0x1.0p-8f + 1e-40f);
    }
  }
}

TEST(DType, RowBytes) {
  EXPECT_EQ(RowBytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(RowBytes(DType::kQ8_0, 33), std::nullopt);
  EXPECT_EQ(RowBytes(DType::kQ4_K, 512), 288u);
  EXPECT_EQ(FindDType(31), nullptr);
}

TEST(Npy, RoundTripAndBadInput) {
  const std::string path = (std::filesystem::path(::testing::TempDir()) / "mobilevlm.npy").string();
  const std::vector<float> values = {1, -2, 3.5f, 0, 5, 6};
  const size_t shape[] = {2, 3};
  ASSERT_TRUE(WriteNpy(path, shape, values));
  const auto array = ReadNpy(path);
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_EQ(array->shape, (std::vector<size_t>{2, 3}));
  EXPECT_EQ(array->values, values);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_FALSE(ReadNpy(path));
  std::filesystem::resize_file(path, 5);
  EXPECT_FALSE(ReadNpy(path));
}

TEST(Mat, ViewsShareStorage) {
  AlignedBuffer<float> buffer;
  Mat<float> mat = buffer.ReserveMat(4, 8);
  mat(2, 5) = 7;
  EXPECT_EQ(mat.Rows(2, 1).Cols(5, 1)(0, 0), 7);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mat.data()) % 64, 0u);
  EXPECT_DEATH(mat.Rows(3, 2), "rows");
}

}  // namespace
}  // namespace mobilevlm
