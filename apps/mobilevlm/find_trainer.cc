#include "find_trainer.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace mobilevlm::app {

Result<std::string> FindTrainer(const std::string& what) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> places;
  const fs::path bin = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (!error) places = {bin, bin / "../../train/bin"};
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    places.emplace_back(rest.substr(0, colon));
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  for (const fs::path& place : places) {
    const fs::path program = place / "mobilevlm-train";
    if (::access(program.c_str(), X_OK) == 0) return program.lexically_normal().string();
  }
  return Fail(
      "{}: cannot find mobilevlm-train (scripts/setup train; cmake --preset train && cmake --build --preset "
      "train --target mobilevlm-train)",
      what);
}

}  // namespace mobilevlm::app
