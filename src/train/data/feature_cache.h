// The frozen tower's features of many scenes, computed once: half precision in a file, mapped.
//
// The file's name carries a hash of the tower's weights and the mix, and the range, so stale features are
// never used. Layout: [scenes, patches, hidden] IEEE halves, nothing else.
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
  // Training scenes [0, scenes) of the mix: from a file in `directory` that holds so many or more, or
  // computed into a new one. Stopping by signal is an Error.
  static Result<FeatureCache> Open(const std::string& directory, const SceneMix& mix,
                                   const ImageConfig& image, ClipVisionTower& tower, int64_t scenes,
                                   DataParallel& parallel, StopSignal& stop);

  int64_t scenes() const { return features_.size(0); }
  // float32 [indices, patches, hidden]
  torch::Tensor Gather(const std::vector<int64_t>& indices) const;

 private:
  FeatureCache(MappedFile file, torch::Tensor features)
      : file_(std::move(file)), features_(std::move(features)) {}

  MappedFile file_;
  torch::Tensor features_;  // [scenes, patches, hidden] half, a view of the mapping
};

}  // namespace mobilevlm::train
