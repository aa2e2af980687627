#include "base/utf8.h"

#include <cstdint>

namespace mobilevlm {
namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

size_t Utf8Length(unsigned char first) {
  if ((first & 0xE0) == 0xC0) return 2;
  if ((first & 0xF0) == 0xE0) return 3;
  if ((first & 0xF8) == 0xF0) return 4;
  return 1;
}

size_t ValidUtf8Prefix(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const size_t length = Utf8Length(first);
  if (length == 1 || text.size() < length) return 0;
  uint32_t code_point = first & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(text[i])) return 0;
    code_point = code_point << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // by length; below it is overlong
  const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
  return code_point < kSmallest[length] || code_point > 0x10FFFF || is_surrogate ? 0 : length;
}

bool IsUnfinishedUtf8(std::string_view text) {
  if (text.size() >= Utf8Length(static_cast<unsigned char>(text[0]))) return false;
  for (const char c : text.substr(1)) {
    if (!IsContinuation(c)) return false;
  }
  return true;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = ValidUtf8Prefix(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace mobilevlm
