// Where a request's pictures may come from: data: URIs, and file: URLs below one folder if there is one. URLs
// that would make this server fetch something for a stranger (http, https, ...) are refused.
#pragma once

#include <cstdint>
#include <string>

#include "mobilevlm/mobilevlm.h"
#include "serve/api_error.h"

namespace mobilevlm::serve {

struct MediaOptions {
  std::string folder;  // --media-path; empty: no file: URLs
  int64_t max_pixels = 50'000'000;
};

// The picture is not decoded yet, but its bytes are there. `param` names the argument in a refusal.
ApiResult<Picture> LoadMedia(const std::string& url, const std::string& param, const MediaOptions& options);

}  // namespace mobilevlm::serve
