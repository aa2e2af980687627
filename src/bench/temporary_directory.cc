#include "bench/temporary_directory.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace mobilevlm::bench {

Result<TemporaryDirectory> TemporaryDirectory::Create() {
  std::error_code error;
  const std::filesystem::path base = std::filesystem::temp_directory_path(error);
  if (error) return Fail("no directory for temporary files ($TMPDIR or /tmp): {}", error.message());
  std::string path = (base / "mobilevlm-bench-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    return Fail("{}: cannot create the directory: {}", path, std::strerror(errno));
  }
  return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace mobilevlm::bench
