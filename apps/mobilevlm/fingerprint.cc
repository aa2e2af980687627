#include "fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace mobilevlm::app {

Hash128 FileFingerprint(const std::string& path) {
  constexpr std::streamoff kEnd = 1 << 20;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  std::string sample = fmt::format("{}\n", size);
  for (const std::streamoff begin : {std::streamoff{0}, std::max<std::streamoff>(0, size - kEnd)}) {
    std::string part(static_cast<size_t>(kEnd), '\0');
    file.clear();
    file.seekg(begin);
    file.read(part.data(), kEnd);
    sample.append(part, 0, static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  }
  return HashBytes(sample.data(), sample.size());
}

}  // namespace mobilevlm::app
