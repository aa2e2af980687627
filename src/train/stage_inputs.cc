#include "train/stage_inputs.h"

#include "base/content_hash.h"
#include "base/mapped_file.h"
#include "train/runlog/checkpoint_directory.h"

namespace mobilevlm::train {
namespace {

Result<Hash128> WeightsHash(const std::string& stage_directory) {
  const auto latest = LatestCheckpoint(stage_directory);
  if (!latest)
    return Fail("{}: no checkpoint; the stage before this one has not been trained", stage_directory);
  MVLM_ASSIGN(const MappedFile file, MappedFile::Open(latest->path + "/model.safetensors"));
  return HashBytes(file.bytes().data(), file.bytes().size());
}

}  // namespace

Result<std::string> StageInputs(const std::string& run_directory, const std::string& from) {
  MVLM_ASSIGN(const Hash128 tower, WeightsHash(run_directory + "/tower"));
  MVLM_ASSIGN(const Hash128 start, WeightsHash(run_directory + "/" + from));
  return ToHex(tower) + " " + ToHex(start);
}

Status CheckInputs(const std::string& run_directory, const std::string& stage, const std::string& from) {
  const std::string directory = run_directory + "/" + stage;
  const auto latest = LatestCheckpoint(directory);
  if (!latest) return {};
  MVLM_ASSIGN(const nlohmann::json state, ReadState(latest->path));
  MVLM_ASSIGN(const std::string inputs, StageInputs(run_directory, from));
  if (state.value("data", "") == inputs) return {};
  return Fail(
      "{}: was trained on another tower or another stage {} than there are now; remove it, or begin anew in "
      "another directory",
      directory, from);
}

}  // namespace mobilevlm::train
