// The CLIP vision towers that a config.json may name (mm_vision_tower) without giving their sizes.
#pragma once

#include <string_view>

#include "schema/config.h"
#include "schema/read_config.h"

namespace mobilevlm {

struct ClipTower {
  std::string_view name;  // the last part of "openai/clip-vit-large-patch14-336"
  VisionConfig config;    // used_layers is stored_layers

  // Whether tensors of these shapes can be this tower.
  bool Fits(const TowerShape& shape) const;
};

// By name or path ("openai/NAME", "/models/NAME/"); nullptr if it is not known.
const ClipTower* FindClipTower(std::string_view path);

// What all of openai/clip's towers see: their mean and standard deviation.
ImageConfig ClipImageConfig(int image_size);

}  // namespace mobilevlm
