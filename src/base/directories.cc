#include "base/directories.h"

#include <filesystem>

namespace mobilevlm {

Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Fail("{}: cannot create the directory: {}", path, error.message());
  return {};
}

}  // namespace mobilevlm
