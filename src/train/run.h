// One stage from its recipe.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "train/parallel/options.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

// Threads, averaging and precision of the recipe.
void ApplyRecipe(const Recipe& recipe, ParallelOptions& parallel);

// `work`, whose exceptions - a lost process, too many unreadable samples, libtorch's own - become Errors.
// std::bad_alloc stays one.
Status ThrowingNothing(const std::string& what, const std::function<Status()>& work);

// Trains the recipe's stage in DIR/STAGE, from its newest checkpoint if there is one. A stop by signal is not
// an error. Of several processes (parallel.processes) every one calls it, with the same recipe. The kind must
// be finetune; the mini stages need each other (mini.h).
Status RunRecipe(const Recipe& recipe, const std::string& directory, ParallelOptions parallel);

}  // namespace mobilevlm::train
