#include "serve/data_uri.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "base/base64.h"

namespace mobilevlm::serve {
namespace {

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

Result<std::string> ParseDataUri(std::string_view uri) {
  constexpr std::string_view kScheme = "data:", kBase64 = ";base64";
  if (!EqualNoCase(uri.substr(0, kScheme.size()), kScheme)) return Fail("not a data: URI");
  uri.remove_prefix(kScheme.size());
  const size_t comma = uri.find(',');
  if (comma == std::string_view::npos) return Fail("the data: URI has no comma");
  const std::string_view head = uri.substr(0, comma);
  if (head.size() < kBase64.size() || !EqualNoCase(head.substr(head.size() - kBase64.size()), kBase64)) {
    return Fail("the data: URI is not base64: wanted data:image/png;base64,...");
  }
  std::optional<std::string> bytes = DecodeBase64(uri.substr(comma + 1));
  if (!bytes) return Fail("the data: URI holds wrong or cut base64");
  if (bytes->empty()) return Fail("the data: URI is empty");
  return std::move(*bytes);
}

}  // namespace mobilevlm::serve
