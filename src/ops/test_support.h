// What the tests of the ops share: contexts for every runnable table and thread count, random operands, and
// comparison helpers (tested with mutants in ops_test.cc).
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/dispatch.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "tensor/blocks.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

namespace mobilevlm::test {

inline std::vector<float> RandomFloats(size_t n, uint64_t seed, double low = -1, double high = 1) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.Uniform(low, high));
  return values;
}

inline Mat<float> View(std::vector<float>& values, size_t rows) {
  return {values.data(), rows, rows == 0 ? 0 : values.size() / rows};
}
inline Mat<const float> View(const std::vector<float>& values, size_t rows) {
  return {values.data(), rows, rows == 0 ? 0 : values.size() / rows};
}

// A matrix in a file's format beside the exact doubles it stands for. Starts two bytes off the buffer's
// alignment, as tensors in a file may.
struct TestWeights {
  std::vector<std::byte> storage;
  std::vector<double> exact;  // [out, in]
  LinearWeights view;
};

inline TestWeights RandomWeights(DType type, size_t out, size_t in, uint64_t seed) {
  Random random(seed);
  TestWeights made;
  const size_t row_bytes = RowBytes(type, in).value();
  made.storage.resize(2 + out * row_bytes);
  std::byte* bytes = made.storage.data() + 2;
  made.view = {type, bytes, out, in, nullptr, row_bytes};
  if (type == DType::kQ8_0) {
    for (size_t i = 0; i < out * in / 32; ++i) {
      BlockQ8_0 block{};
      block.d = F32ToF16(static_cast<float>(random.Uniform(0.001, 0.01)));
      for (int8_t& q : block.qs) {
        q = static_cast<int8_t>(random.Between(-127, 127));
        made.exact.push_back(static_cast<double>(F16ToF32(block.d)) * q);
      }
      std::memcpy(bytes + i * sizeof(block), &block, sizeof(block));
    }
    return made;
  }
  for (size_t i = 0; i < out * in; ++i) {
    const float value = static_cast<float>(random.Uniform(-1, 1));
    const uint16_t half = type == DType::kF16 ? F32ToF16(value) : F32ToBf16(value);
    if (type == DType::kF32) {
      std::memcpy(bytes + 4 * i, &value, 4);
      made.exact.push_back(value);
    } else {
      std::memcpy(bytes + 2 * i, &half, 2);
      made.exact.push_back(type == DType::kF16 ? F16ToF32(half) : Bf16ToF32(half));
    }
  }
  return made;
}

// The same bits everywhere.
inline ::testing::AssertionResult SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

// |found - wanted| <= tolerance everywhere; NaN never passes.
inline ::testing::AssertionResult Near(const std::vector<float>& found, const std::vector<double>& wanted,
                                       double tolerance) {
  if (found.size() != wanted.size()) {
    return ::testing::AssertionFailure() << found.size() << " and " << wanted.size();
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (!(std::abs(found[i] - wanted[i]) <= tolerance)) {
      return ::testing::AssertionFailure()
             << "element " << i << ": found " << found[i] << ", wanted " << wanted[i] << " +- " << tolerance;
    }
  }
  return ::testing::AssertionSuccess();
}

// One test run per kernel table; ctx() has one thread, threaded() three.
class OpsTest : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  OpsContext ctx() { return {&one_, GetParam()}; }
  OpsContext threaded() { return {&three_, GetParam()}; }

 private:
  ThreadPool one_{1};
  ThreadPool three_{3};
};

inline std::string TableName(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

}  // namespace mobilevlm::test
