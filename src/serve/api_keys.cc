#include "serve/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/read_file.h"

namespace mobilevlm::serve {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr uint64_t kLargestKeyFile = 1 << 20;

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

Result<ApiKeys> ApiKeys::Create(const std::vector<std::string>& keys) {
  ApiKeys result;
  for (const std::string& key : keys) {
    if (Trim(key).empty()) return Fail("an API key is empty");
    result.digests_.push_back(Hash(Trim(key)));
  }
  return result;
}

ApiKeys::Digest ApiKeys::Hash(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

int ApiKeys::Match(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  const bool bearer = authorization.starts_with(kScheme);
  const Digest digest = Hash(Trim(bearer ? authorization.substr(kScheme.size()) : ""));
  int match = -1;
  for (size_t i = 0; i < digests_.size(); ++i) {  // all of them, whatever was found
    if (CRYPTO_memcmp(digest.data(), digests_[i].data(), digest.size()) == 0 && bearer)
      match = static_cast<int>(i);
  }
  return match;
}

Result<std::vector<std::string>> ReadKeyFile(const std::string& path) {
  MVLM_ASSIGN(const std::string text, ReadFile(path, kLargestKeyFile));
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = Trim(std::string_view(text).substr(begin, end - begin));
    if (!line.empty() && line.front() != '#') keys.emplace_back(line);
    begin = end + 1;
  }
  if (keys.empty()) return Fail("{}: there is no key in it", path);
  return keys;
}

}  // namespace mobilevlm::serve
