// Pictures with questions, for commands that try a model out: `quantize --compare`, `imatrix`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/image.h"
#include "world/world.h"

namespace mobilevlm::app {

struct SamplePicture {
  Image picture;
  std::string question;
};

struct SampleSource {
  std::vector<std::string> images;  // files, all with the same question
  std::string question = "Describe the picture.";
  std::string annotations;                   // LLaVA JSON, "image" relative to its directory
  world::Split split = world::Split::kTest;  // of the mini world, if nothing else is given
  uint64_t limit = 0;                        // at most so many; 0: all (of the mini world: none)
};

// Calls `take` for each, decoded when its turn comes; its Error ends the walk. An Error if there is none.
Status ForEachSample(const SampleSource& source, const std::function<Status(const SamplePicture&)>& take);

}  // namespace mobilevlm::app
