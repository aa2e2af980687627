// The files of the web page, embedded in the executable.
#pragma once

#include <span>
#include <string_view>

namespace mobilevlm::serve {

struct Asset {
  std::string_view path;          // "/", "/style.css": as requested
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view etag;          // with its quotes; changes with the body
  std::string_view body;
};

std::span<const Asset> Assets();

}  // namespace mobilevlm::serve
