#include "train/shared_stages.h"

#include <filesystem>

#include "base/directories.h"
#include "train/runlog/checkpoint_directory.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

Status CheckFinished(const std::string& stage_directory) {
  const auto latest = LatestCheckpoint(stage_directory);
  if (!latest) return Fail("--from: {}: no checkpoint; this stage has not been trained", stage_directory);
  MVLM_ASSIGN(const nlohmann::json state, ReadState(latest->path));
  if (state.contains("finished") && state["finished"] == true) return {};
  return Fail("--from: {}: wanted a finished stage, its newest checkpoint is of step {}", stage_directory,
              latest->step);
}

// Another machine that shares the storage may do the same at this moment.
Status Link(const fs::path& target, const fs::path& link) {
  std::error_code failed, error;
  fs::create_symlink(target, link, failed);
  if (!failed) return {};
  if (fs::is_symlink(link, error)) {
    const fs::path found = fs::read_symlink(link, error);
    if (found == target) return {};
    return Fail("--from: {} links to {}, wanted {}", link.string(), found.string(), target.string());
  }
  if (fs::exists(link, error)) {
    return Fail("--from: {} is this run's own, wanted a link to {}", link.string(), target.string());
  }
  return Fail("--from: {}: cannot create this link: {}", link.string(), failed.message());
}

}  // namespace

Status ShareStages(const std::string& from, const std::string& directory) {
  for (const char* stage : {"/tower", "/language"}) MVLM_TRY(CheckFinished(from + stage));
  std::error_code error;
  if (!fs::exists(from + "/tokenizer.model", error)) {
    return Fail("--from: {}/tokenizer.model: wanted the tokenizer of a mini run, found none", from);
  }
  MVLM_TRY(MakeDirectories(from + "/features"));
  MVLM_TRY(MakeDirectories(directory));
  const fs::path base = fs::canonical(from, error);
  if (error) return Fail("--from: {}: {}", from, error.message());
  for (const char* name : {"tower", "language", "features", "tokenizer.model"}) {
    MVLM_TRY(Link(base / name, fs::path(directory) / name));
  }
  return {};
}

bool IsShared(const std::string& stage_directory) {
  std::error_code error;
  return fs::is_symlink(stage_directory, error);
}

}  // namespace mobilevlm::train
