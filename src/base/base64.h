// Base64 (RFC 4648), with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mobilevlm {

// The bytes that `text` stands for (line ends are skipped, padding may be missing); nothing if it is no
// base64.
std::optional<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

}  // namespace mobilevlm
