// How the API refuses: an HTTP status and the JSON form that OpenAI's clients expect.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace mobilevlm::serve {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param = {};       // the argument that is wrong; empty: null
  std::string code = {};        // for programs, "model_not_found"; empty: null
  int retry_after_seconds = 0;  // 0: no Retry-After header
};

template <class T>
using ApiResult = tl::expected<T, ApiError>;

// A refusal of one argument, status 400.
template <class... Args>
tl::unexpected<ApiError> BadArgument(std::string param, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<ApiError>(
      ApiError{.message = fmt::format(format, std::forward<Args>(args)...), .param = std::move(param)});
}

}  // namespace mobilevlm::serve
