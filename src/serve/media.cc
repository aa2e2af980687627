#include "serve/media.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/read_file.h"
#include "serve/data_uri.h"

namespace mobilevlm::serve {
namespace {

constexpr uint64_t kLargestFile = uint64_t{64} << 20;

// "%41" -> "A"; nullopt if a % is followed by anything but two hexadecimal digits.
std::optional<std::string> DecodePercent(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
    i += 2;
  }
  return decoded;
}

// The file below `folder` that the URL names, symbolic links followed; what is elsewhere, is no file or does
// not exist all look the same from outside.
std::optional<std::filesystem::path> FindBelow(const std::string& folder, std::string_view path) {
  const std::optional<std::string> decoded = DecodePercent(path);
  if (!decoded || decoded->find('\0') != std::string::npos) return std::nullopt;
  std::error_code error;
  const std::filesystem::path root = std::filesystem::canonical(folder, error);
  if (error) return std::nullopt;
  const std::filesystem::path file = std::filesystem::canonical(*decoded, error);
  if (error || !std::filesystem::is_regular_file(file, error)) return std::nullopt;
  const auto [in_root, in_file] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  if (in_root != root.end()) return std::nullopt;
  return file;
}

}  // namespace

ApiResult<Picture> LoadMedia(const std::string& url, const std::string& param, const MediaOptions& options) {
  constexpr std::string_view kFile = "file://", kData = "data:";
  Picture picture;
  if (url.starts_with(kFile)) {
    if (options.folder.empty())
      return BadArgument(param, "{}: file: URLs are not enabled on this server", param);
    const auto file = FindBelow(options.folder, std::string_view(url).substr(kFile.size()));
    if (!file) return BadArgument(param, "{}: there is no such file in the server's media folder", param);
    Result<std::string> bytes = ReadFile(file->string(), kLargestFile);
    if (!bytes) return BadArgument(param, "{}: the file cannot be read", param);
    picture = Picture::FromBytes(std::move(*bytes), param);
  } else if (std::string_view(url).substr(0, kData.size()) == kData) {
    Result<std::string> bytes = ParseDataUri(url);
    if (!bytes) return BadArgument(param, "{}: {}", param, bytes.error().message);
    picture = Picture::FromBytes(std::move(*bytes), param);
  } else {
    return BadArgument(
        param, "{}: this server fetches no URLs; send the picture as data:image/png;base64,...", param);
  }
  picture.max_pixels = options.max_pixels;
  return picture;
}

}  // namespace mobilevlm::serve
