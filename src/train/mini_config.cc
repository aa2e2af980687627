#include "train/mini_config.h"

#include "schema/clip_towers.h"
#include "schema/read_config.h"

namespace mobilevlm::train {

MiniConfig MiniConfig::Of(const Recipe& recipe) {
  const Recipe::Mini& mini = recipe.mini;
  const auto whole = [](int64_t value) { return static_cast<int>(value); };
  MiniConfig config;
  config.image = ClipImageConfig(whole(mini.image_size));
  config.vision = {.hidden = whole(mini.vision_hidden),
                   .intermediate = whole(mini.vision_intermediate),
                   .heads = whole(mini.vision_heads),
                   .stored_layers = whole(mini.vision_layers),
                   .used_layers = whole(mini.vision_layers),
                   .image_size = whole(mini.image_size),
                   .patch_size = whole(mini.patch_size),
                   .layer_norm_eps = 1e-5f};
  config.llm = {.hidden = whole(mini.hidden),
                .intermediate = whole(mini.intermediate),
                .layers = whole(mini.layers),
                .heads = whole(mini.heads),
                .kv_heads = whole(mini.heads),
                .head_dim = whole(mini.head_dim),
                .vocab = whole(mini.vocabulary),
                .context = whole(mini.context),
                .rms_eps = 1e-6f};
  config.projector_name = mini.projector;
  config.pool = whole(mini.pool);
  return config;
}

ProjectorPlan MiniConfig::projector() const {
  ProjectorPlan plan = ProjectorPlan::Named(
      projector_name, {.vision_hidden = vision.hidden, .hidden = llm.hidden, .grid = vision.grid()});
  plan.pool = pool;
  return plan;
}

Status MiniConfig::Check() const {
  MVLM_TRY(CheckLlmConfig(llm, "[mini]"));
  MVLM_TRY(CheckVisionConfig(vision, "[mini]"));
  return projector().Check("[mini]");
}

}  // namespace mobilevlm::train
