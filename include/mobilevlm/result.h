// Error and Result<T>: how every fallible function of this library answers.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace mobilevlm {

// One line that a user can act on: what went wrong, where, what was wanted and what was found.
struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

}  // namespace mobilevlm
