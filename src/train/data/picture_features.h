// Features of a frozen tower that are computed once for every picture and kept on disk
// (data/feature_store.h): a second epoch, or another run with this tower, does not encode again.
//
// Kept features are in half precision. Those just computed are rounded alike, so a run's numbers do not
// depend on what was kept before.
//
// Thread contract: Find and Keep may be called concurrently.
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "data/feature_store.h"
#include "schema/config.h"
#include "train/modules/clip.h"

namespace mobilevlm::train {

class PictureFeatures {
 public:
  // Opens or makes the store in `directory` for a tower with these weights.
  static Result<PictureFeatures> Open(const std::string& directory, ClipVisionTower& tower,
                                      const ImageConfig& image);

  // float32 [keys, patches, hidden] if every picture is known (keys: data::FeatureKey); undefined otherwise.
  torch::Tensor Find(const std::vector<Hash128>& keys) const;
  // Keeps features [keys, patches, hidden] and returns them as Find would. Throws std::runtime_error when the
  // disk takes no more.
  torch::Tensor Keep(const std::vector<Hash128>& keys, const torch::Tensor& features);

 private:
  PictureFeatures(data::FeatureStore store, int64_t patches, int64_t hidden)
      : store_(std::move(store)), patches_(patches), hidden_(hidden) {}

  data::FeatureStore store_;
  int64_t patches_, hidden_;
};

}  // namespace mobilevlm::train
