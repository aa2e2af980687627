// The chat page: plain files of this folder, and example pictures, embedded at build time
// (cmake/EmbedFiles.cmake). The page speaks to v1/models and v1/chat/completions relative to where it is
// served, so it works behind a proxy's path, too.
#pragma once

#include <span>
#include <string_view>

namespace mobilevlm::serve {

struct Asset {
  std::string_view path;          // where it is served: "/", "/app.js", "/examples/farm.png"
  std::string_view content_type;  // value of the header of that name
  std::string_view etag;          // quoted, of the content
  std::string_view body;
};

// All of them; "/" is the first. They live as long as the program.
std::span<const Asset> Assets();

// The page's Content-Security-Policy: nothing but this server's own files, nothing inline, nobody's frame.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

}  // namespace mobilevlm::serve
