#include <cstdlib>
#include <filesystem>
#include <vector>

#include "commands.h"

namespace mobilevlm::app {
namespace {

namespace fs = std::filesystem;

bool HoldsModel(const fs::path& directory) {
  std::error_code error;
  return fs::exists(directory / "text.gguf", error) && fs::exists(directory / "mmproj.gguf", error);
}

}  // namespace

Status UseBundledModelIfNone(LoadOptions& load) {
  if (!load.text.empty() && !load.mmproj.empty()) return {};
  if (!load.text.empty()) return Fail("--mmproj FILE is missing: -m alone is only the language model");
  if (!load.mmproj.empty()) return Fail("-m FILE is missing: --mmproj alone is only the vision tower");

  std::vector<fs::path> places;
  if (const char* directory = std::getenv("MOBILEVLM_MODEL_DIR");
      directory != nullptr && *directory != '\0') {
    places = {directory};
  } else {
    std::error_code error;
    const fs::path bin = fs::read_symlink("/proc/self/exe", error).parent_path();
    if (!error) {
      places = {bin / "../../../models/mini", bin / "../share/mobilevlm/mini"};
    }
  }
  for (const fs::path& place : places) {
    if (!HoldsModel(place)) continue;
    load.text = (place / "text.gguf").lexically_normal().string();
    load.mmproj = (place / "mmproj.gguf").lexically_normal().string();
    fmt::print(stderr,
               "mobilevlm: using the bundled mini model: it knows only its mini world of drawn scenes; "
               "photos need a real checkpoint (-m TEXT --mmproj MMPROJ)\n");
    return {};
  }
  std::string searched;
  for (const fs::path& place : places)
    searched += (searched.empty() ? "" : ", ") + place.lexically_normal().string();
  return Fail("no model given (-m TEXT --mmproj MMPROJ) and no bundled model found in {}", searched);
}

}  // namespace mobilevlm::app
