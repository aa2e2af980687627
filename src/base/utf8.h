// UTF-8 as libsentencepiece reads it: one malformed byte is one character, U+FFFD.
#pragma once

#include <cstddef>
#include <string_view>

namespace mobilevlm {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Bytes that a character with this first byte has: 1 for ASCII and for bytes that cannot start one.
size_t Utf8Length(unsigned char first);

// The length of the well-formed character at the start of `text` (not empty), or 0: truncated, overlong, a
// surrogate, beyond U+10FFFF or a stray continuation byte.
size_t ValidUtf8Prefix(std::string_view text);

// True if more bytes could turn `text` (not empty) into a well-formed character.
bool IsUnfinishedUtf8(std::string_view text);

bool IsValidUtf8(std::string_view text);

}  // namespace mobilevlm
