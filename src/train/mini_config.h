// The mini model's recipes as its stages use them: sizes, and the numbers of a stage.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "schema/config.h"
#include "text/tokenizer.h"
#include "train/modules/projector_plan.h"
#include "train/parallel/options.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

struct MiniConfig {
  // The sizes of [mini].
  static MiniConfig Of(const Recipe& recipe);
  // Do the sizes fit each other?
  Status Check() const;

  ImageConfig image;
  VisionConfig vision;
  LlmConfig llm;
  std::string projector_name = "ldpnetv2";  // as ProjectorPlan::Named takes it
  int pool = 2;

  ProjectorPlan projector() const;
  // The decoder with as many tokens as the tokenizer really has.
  LlmConfig LlmWith(const Tokenizer& tokenizer) const {
    LlmConfig result = llm;
    result.vocab = tokenizer.size();
    return result;
  }
};

// What every stage needs to know about its run.
struct StageOptions {
  std::string directory;  // of the whole run; a stage uses directory/<stage>
  Recipe recipe;
  ParallelOptions parallel = {};

  const Recipe::Schedule& schedule() const { return recipe.schedule; }
  const Recipe::Mini& mini() const { return recipe.mini; }
  uint64_t seed() const { return static_cast<uint64_t>(recipe.run.seed); }
  int loaders() const { return static_cast<int>(recipe.data.loaders); }
};

}  // namespace mobilevlm::train
