// data: URIs (RFC 2397) with base64 (RFC 4648): how pictures come inside a request.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mobilevlm::serve {

// The bytes of "data:[<type>][;parameter...];base64,<data>". Padding may be missing and lines may be broken;
// any other byte in the data is an Error, as is a form without base64.
Result<std::string> ParseDataUri(std::string_view uri);

}  // namespace mobilevlm::serve
