#include "schema/sizes.h"

#include <fmt/ranges.h>

#include <vector>

#include "schema/clip_towers.h"

namespace mobilevlm {
namespace {

// openai/clip-vit-large-patch14-336 as the community's files hold it: without the block that is not used.
constexpr VisionConfig kClipLarge{.hidden = 1024,
                                  .intermediate = 4096,
                                  .heads = 16,
                                  .stored_layers = 23,
                                  .used_layers = 23,
                                  .image_size = 336,
                                  .patch_size = 14,
                                  .layer_norm_eps = 1e-5f};
constexpr ImageConfig kImage336 = ClipImageConfig(336);

constexpr ModelSize kSizes[] = {
    {.name = "1.7b",
     .image = kImage336,
     .vision = kClipLarge,
     .llm = {.hidden = 2048,
             .intermediate = 5632,
             .layers = 24,
             .heads = 16,
             .kv_heads = 16,
             .head_dim = 128,
             .vocab = 32000,
             .context = 2048,
             .rms_eps = 1e-6f}},
    {.name = "3b",
     .image = kImage336,
     .vision = kClipLarge,
     .llm = {.hidden = 2560,
             .intermediate = 6912,
             .layers = 32,
             .heads = 32,
             .kv_heads = 32,
             .head_dim = 80,
             .vocab = 32000,
             .context = 2048,
             .rms_eps = 1e-6f}},
    {.name = "7b",
     .image = kImage336,
     .vision = kClipLarge,
     .llm = {.hidden = 4096,
             .intermediate = 11008,
             .layers = 32,
             .heads = 32,
             .kv_heads = 32,
             .head_dim = 128,
             .vocab = 32000,
             .context = 4096,
             .rms_eps = 1e-5f}},
    {.name = "mini",
     .image = ClipImageConfig(144),
     .vision = {.hidden = 192,
                .intermediate = 768,
                .heads = 6,
                .stored_layers = 6,
                .used_layers = 6,
                .image_size = 144,
                .patch_size = 12,
                .layer_norm_eps = 1e-5f},
     .llm = {.hidden = 256,
             .intermediate = 768,
             .layers = 4,
             .heads = 4,
             .kv_heads = 4,
             .head_dim = 64,
             .vocab = 2048,
             .context = 512,
             .rms_eps = 1e-6f}},
};

}  // namespace

ProjectorConfig ModelSize::projector() const {
  return {
      .type = projector_type, .vision_hidden = vision.hidden, .hidden = llm.hidden, .grid = vision.grid()};
}

std::span<const ModelSize> ModelSizes() { return kSizes; }

Result<ModelSize> FindModelSize(std::string_view name) {
  std::vector<std::string_view> names;
  for (const ModelSize& size : kSizes) {
    if (size.name == name) return size;
    names.push_back(size.name);
  }
  return Fail("wanted a size of {}, found {}", fmt::join(names, ", "), name);
}

}  // namespace mobilevlm
