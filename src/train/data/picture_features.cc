#include "train/data/picture_features.h"

#include <span>
#include <stdexcept>

#include "base/content_hash.h"

namespace mobilevlm::train {
namespace {

// Of all that the features depend on beside the picture. The number of blocks that are run is part of it:
// blocks behind them are no parameters of the module.
Hash128 TowerTag(ClipVisionTower& tower, const ImageConfig& image) {
  std::string text;
  for (const auto& item : tower->named_parameters()) {
    const torch::Tensor values = item.value().detach().contiguous();
    text += item.key() + ToHex(HashBytes(values.data_ptr(), values.nbytes()));
  }
  for (const float value : image.mean) text += fmt::format(" {:a}", value);
  for (const float value : image.std) text += fmt::format(" {:a}", value);
  return HashBytes(text.data(), text.size());
}

std::span<uint16_t> Halves(const torch::Tensor& half, int64_t picture) {
  const int64_t elements = half.size(1) * half.size(2);
  return {static_cast<uint16_t*>(half.data_ptr()) + picture * elements, static_cast<size_t>(elements)};
}

}  // namespace

Result<PictureFeatures> PictureFeatures::Open(const std::string& directory, ClipVisionTower& tower,
                                              const ImageConfig& image) {
  const int64_t patches = tower->config().patches(), hidden = tower->config().hidden;
  MVLM_ASSIGN(data::FeatureStore store, data::FeatureStore::Open(directory, TowerTag(tower, image),
                                                                 static_cast<size_t>(patches * hidden)));
  return PictureFeatures(std::move(store), patches, hidden);
}

torch::Tensor PictureFeatures::Find(const std::vector<Hash128>& keys) const {
  const torch::Tensor half =
      torch::empty({static_cast<int64_t>(keys.size()), patches_, hidden_}, torch::kHalf);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!store_.Get(keys[i], Halves(half, static_cast<int64_t>(i)))) return {};
  }
  return half.to(torch::kFloat32);
}

torch::Tensor PictureFeatures::Keep(const std::vector<Hash128>& keys, const torch::Tensor& features) {
  const torch::Tensor half = features.to(torch::kHalf).contiguous();
  for (size_t i = 0; i < keys.size(); ++i) {
    const Status kept = store_.Put(keys[i], Halves(half, static_cast<int64_t>(i)));
    if (!kept) throw std::runtime_error(kept.error().message);
  }
  return half.to(torch::kFloat32);
}

}  // namespace mobilevlm::train
