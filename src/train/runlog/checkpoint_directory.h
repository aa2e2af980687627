// The checkpoints of a stage: DIR/checkpoint-00000100, each a directory that is complete or not there at all,
// and DIR/latest, a link to the newest.
//
// A checkpoint is written under a temporary name, synced and renamed. Whatever happens meanwhile, a full disk
// or a kill, the previous one stays; only a complete new one makes old ones go. An old one gets a temporary
// name before it is removed; the next save clears away what has such a name still. A directory without
// state.json is no checkpoint, whatever its name.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/result.h"

namespace mobilevlm::train {

struct CheckpointPlace {
  int64_t step = 0;
  std::string path;
};

// The newest complete one; nothing in a directory that has none or is not there.
std::optional<CheckpointPlace> LatestCheckpoint(const std::string& directory);

// Calls `write` with a directory to fill, makes that the checkpoint of `step`, and removes all but the `keep`
// newest. A checkpoint of this step that is there already stays as it is. On an Error no checkpoint has
// changed.
Status SaveCheckpoint(const std::string& directory, int64_t step, int64_t keep,
                      const std::function<Status(const std::string& path)>& write);

// state.json: step, seed, and whatever a stage needs to continue exactly.
Status WriteState(const std::string& checkpoint, const nlohmann::json& state);
// An Error unless it is an object with a whole number "step".
Result<nlohmann::json> ReadState(const std::string& checkpoint);

}  // namespace mobilevlm::train
