// The frozen tower's features of many scenes, computed once: half precision in files of 1,024 scenes, mapped.
//
// The files of one tower and mix stand in a directory whose name carries a hash of both, so stale features
// are never used. A file holds [scenes, patches, hidden] IEEE halves and nothing else, and appears when it is
// complete: what was encoded before an interruption stays, and a longer run adds what it lacks.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "train/data/scene_mix.h"
#include "train/mini_config.h"
#include "train/modules/clip.h"
#include "train/parallel/data_parallel.h"
#include "train/stop_signal.h"
#include "world/world.h"

namespace mobilevlm::train {

// FNV-1a over names and values.
uint64_t HashModule(const torch::nn::Module& module);

// Features of these scenes, float32 [scenes, patches, hidden], drawn and encoded on all threads.
torch::Tensor EncodeScenes(const world::World& world, const ImageConfig& image, ClipVisionTower& tower,
                           const std::vector<world::Scene>& scenes, DataParallel& parallel);
// The same for a picture of the mean colour: [1, patches, hidden].
torch::Tensor EncodeBlank(const ImageConfig& image, ClipVisionTower& tower);

class FeatureCache {
 public:
  static constexpr int64_t kScenesPerFile = 1024;

  // Training scenes [0, scenes) of the mix, read from `directory`. Files that are missing, or hold fewer
  // scenes than are wanted of them, are computed, by the processes of each machine together. All call it. A
  // stop by signal is an Error, and so is a file that holds a part of a scene behind the wanted ones.
  static Result<FeatureCache> Open(const std::string& directory, const SceneMix& mix,
                                   const ImageConfig& image, ClipVisionTower& tower, int64_t scenes,
                                   DataParallel& parallel, StopSignal& stop);

  int64_t scenes() const { return scenes_; }
  // float32 [indices, patches, hidden]
  torch::Tensor Gather(const std::vector<int64_t>& indices) const;

 private:
  explicit FeatureCache(int64_t scenes) : scenes_(scenes) {}

  int64_t scenes_;
  std::vector<MappedFile> files_;
  std::vector<torch::Tensor> blocks_;  // of each file [scenes, patches, hidden] half, a view of the mapping
};

}  // namespace mobilevlm::train
