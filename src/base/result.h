// Result<T>: what every function that meets the outside world (files, pictures, flags, HTTP) returns.
//
// An Error is one line that a user can act on: what went wrong, where, what was wanted and what was
// found. Callers add context with a prefix ("loading text.gguf: ..."). Broken invariants of our own
// are not Errors: see base/check.h.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "mobilevlm/result.h"

namespace mobilevlm {

// return Fail("{}: wanted {} bytes, found {}", path, wanted, found);
template <class... Args>
tl::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// return Context(result.error(), "loading {}", path);
template <class... Args>
tl::unexpected<Error> Context(const Error& error, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(
      Error{fmt::format(format, std::forward<Args>(args)...) + ": " + error.message});
}

}  // namespace mobilevlm

// MVLM_TRY(Status or Result expression): returns the error to the caller.
#define MVLM_TRY(expression)                                                       \
  do {                                                                             \
    if (auto mvlm_status = (expression); !mvlm_status) {                           \
      return ::tl::unexpected<::mobilevlm::Error>(std::move(mvlm_status).error()); \
    }                                                                              \
  } while (false)

#define MVLM_CONCAT_INNER(a, b) a##b
#define MVLM_CONCAT(a, b) MVLM_CONCAT_INNER(a, b)

// MVLM_ASSIGN(auto file, MappedFile::Open(path)): declares `file`, or returns the error.
#define MVLM_ASSIGN(declaration, expression) \
  MVLM_ASSIGN_IMPL(MVLM_CONCAT(mvlm_result_, __LINE__), declaration, expression)
#define MVLM_ASSIGN_IMPL(result, declaration, expression)                              \
  auto result = (expression);                                                          \
  if (!result) return ::tl::unexpected<::mobilevlm::Error>(std::move(result).error()); \
  declaration = std::move(*result)
