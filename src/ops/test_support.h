// What the tests of the ops share: contexts for every runnable table and thread count, random operands, and
// comparison helpers (tested with mutants in ops_test.cc).
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/context.h"
#include "ops/random_operands.h"

namespace mobilevlm::test {

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
  OpsContext ctx() { return On(one_); }
  OpsContext threaded() { return On(three_); }
  static OpsContext On(ThreadPool& pool) { return {.pool = &pool, .kernels = GetParam()}; }

 private:
  ThreadPool one_{1};
  ThreadPool three_{3};
};

inline std::string TableName(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

}  // namespace mobilevlm::test
