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

// What all of openai/clip's towers see (openai/clip-vit-large-patch14-336, preprocessor_config.json).
constexpr ImageConfig ClipImageConfig(int image_size) {
  return {.image_size = image_size,
          .mean = {0.48145466f, 0.4578275f, 0.40821073f},
          .std = {0.26862954f, 0.26130258f, 0.27577711f}};
}

}  // namespace mobilevlm
