// Base64 with padding (RFC 4648, section 4), for pictures inside JSON and HTML.
#pragma once

#include <string>
#include <string_view>

namespace mobilevlm::train {

std::string EncodeBase64(std::string_view bytes);

}  // namespace mobilevlm::train
