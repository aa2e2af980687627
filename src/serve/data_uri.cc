#include "serve/data_uri.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

namespace mobilevlm::serve {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kInvalid = 64;

constexpr std::array<uint8_t, 256> MakeValues() {
  std::array<uint8_t, 256> values{};
  values.fill(kInvalid);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return values;
}
constexpr std::array<uint8_t, 256> kValues = MakeValues();

Result<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 == 0) {
    if (text.ends_with("==")) {
      text.remove_suffix(2);
    } else if (text.ends_with('=')) {
      text.remove_suffix(1);
    }
  }
  if (text.size() % 4 == 1) return Fail("base64 of {} characters is cut short", text.size());
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t value = kValues[static_cast<unsigned char>(text[i])];
    if (value == kInvalid) return Fail("base64 has a wrong character at position {}", i);
    bits = bits << 6 | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return bytes;
}

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

Result<DataUri> ParseDataUri(std::string_view uri) {
  constexpr std::string_view kScheme = "data:", kBase64 = ";base64";
  if (!EqualNoCase(uri.substr(0, kScheme.size()), kScheme)) return Fail("not a data: URI");
  uri.remove_prefix(kScheme.size());
  const size_t comma = uri.find(',');
  if (comma == std::string_view::npos) return Fail("the data: URI has no comma");
  std::string_view head = uri.substr(0, comma);
  if (head.size() < kBase64.size() || !EqualNoCase(head.substr(head.size() - kBase64.size()), kBase64)) {
    return Fail("the data: URI is not base64: wanted data:image/png;base64,...");
  }
  head.remove_suffix(kBase64.size());
  DataUri result;
  result.media_type = std::string(head.substr(0, head.find(';')));
  MVLM_ASSIGN(result.bytes, DecodeBase64(uri.substr(comma + 1)));
  if (result.bytes.empty()) return Fail("the data: URI is empty");
  return result;
}

}  // namespace mobilevlm::serve
