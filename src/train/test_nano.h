// The nano model of tests/golden, for the trainer's tests: as a shipped recipe takes it, and a batch for it.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "train/data/token_batch.h"
#include "train/modules/mobilevlm.h"
#include "train/recipe/read_recipe.h"
#include "train/start_model.h"

namespace mobilevlm::train {

inline const std::string kFixtures = MOBILEVLM_SOURCE_DIR "/tests/golden";
inline const std::string kNanoModel = kFixtures + "/nano-ldpv2/hf";

// The shipped recipe `name` that starts from the nano model, with float32 for what it trains.
inline Recipe NanoRecipe(const std::string& name, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(),
                   {"model.start=" + kNanoModel, "data.annotations=none.json", "model.weights=float32"});
  auto recipe = ReadRecipe(fmt::format("{}/configs/{}.toml", MOBILEVLM_SOURCE_DIR, name), overrides);
  MVLM_CHECK(recipe.has_value(), "{}", recipe.error().message);
  return std::move(*recipe);
}

inline StartModel LoadStart(const Recipe& recipe) {
  auto start = LoadStartModel(recipe);
  MVLM_CHECK(start.has_value(), "{}", start.error().message);
  return std::move(*start);
}

// One sequence with a picture; random features.
inline MicroBatch NanoBatch(const MobileVlmImpl& model, uint64_t seed) {
  torch::manual_seed(seed);
  const MobileVlmConfig& config = model.config();
  const int visual = config.projector ? config.projector->tokens() : 0;
  TokenSample sample{.ids = std::vector<int>(static_cast<size_t>(visual) + 20, 0)};
  if (visual > 0) sample.image_starts = {3};
  for (size_t i = 0; i < sample.ids.size(); ++i) sample.ids[i] = 5 + static_cast<int>(i * 37 % 600);
  sample.supervised.assign(sample.ids.size(), 0);
  std::fill(sample.supervised.end() - 10, sample.supervised.end(), 1);
  MicroBatch batch;
  batch.text = Collate(std::vector{sample}, visual);
  if (config.vision) batch.features = torch::randn({1, config.vision->patches(), config.vision->hidden});
  return batch;
}

}  // namespace mobilevlm::train
