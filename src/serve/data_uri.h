// data: URIs (RFC 2397) with base64 (RFC 4648): how pictures come inside a request.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mobilevlm::serve {

struct DataUri {
  std::string media_type;  // "image/png"; empty if not given
  std::string bytes;
};

// "data:[<type>][;parameter...];base64,<data>". Padding may be missing; white space and any other byte in the
// data is an Error, as is a form without base64.
Result<DataUri> ParseDataUri(std::string_view uri);

}  // namespace mobilevlm::serve
