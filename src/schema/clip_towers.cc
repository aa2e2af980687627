#include "schema/clip_towers.h"

namespace mobilevlm {
namespace {

constexpr VisionConfig kVitLarge14{.hidden = 1024,
                                   .intermediate = 4096,
                                   .heads = 16,
                                   .stored_layers = 24,
                                   .used_layers = 24,
                                   .image_size = 224,
                                   .patch_size = 14,
                                   .layer_norm_eps = 1e-5f,
                                   .activation = VisionActivation::kQuickGelu};

constexpr VisionConfig WithImageSize(VisionConfig config, int image_size) {
  config.image_size = image_size;
  return config;
}

constexpr ClipTower kTowers[] = {
    {"clip-vit-large-patch14-336", WithImageSize(kVitLarge14, 336)},
    {"clip-vit-large-patch14", kVitLarge14},
};

}  // namespace

bool ClipTower::Fits(const TowerShape& shape) const {
  return shape.hidden == config.hidden && shape.intermediate == config.intermediate &&
         shape.patch_size == config.patch_size && shape.positions == config.patches() + 1 &&
         shape.layers == config.stored_layers;
}

const ClipTower* FindClipTower(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (const ClipTower& tower : kTowers) {
    if (tower.name == name) return &tower;
  }
  return nullptr;
}

}  // namespace mobilevlm
