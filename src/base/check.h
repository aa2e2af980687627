// MVLM_CHECK: a broken invariant of our own aborts at once, in release builds too.
// Never for what comes from outside; that is a Result (base/result.h).
#pragma once

#include <fmt/format.h>

#include <string>

namespace mobilevlm {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const std::string& detail);

}  // namespace mobilevlm

// MVLM_CHECK(x.cols() == w.cols(), "x has {} columns, w has {}", x.cols(), w.cols());
#define MVLM_CHECK(condition, ...)                                                             \
  do {                                                                                         \
    if (!(condition)) [[unlikely]] {                                                           \
      ::mobilevlm::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    }                                                                                          \
  } while (false)
