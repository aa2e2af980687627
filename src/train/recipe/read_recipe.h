// Recipes from TOML and back. Whatever is malformed, unknown, of a wrong type or out of range is an Error of
// one line, "FILE:LINE: ...".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

// `name` stands for the file in messages.
Result<Recipe> ParseRecipe(std::string_view toml, const std::string& name);
// The file, then the overrides "key=value" in order, then the check of the whole. A value is TOML (3e-5,
// true, ["a.json", "b.json"]); what is no TOML value is taken as text, so quotes may be left out, and one
// value may stand for a list of one.
Result<Recipe> ReadRecipe(const std::string& path, const std::vector<std::string>& overrides = {});
Status Override(Recipe& recipe, const std::string& assignment);

// Rules between keys: what a kind needs, what contradicts itself.
Status CheckRecipe(const Recipe& recipe);

// TOML that ParseRecipe reads back as the same recipe.
std::string RecipeToml(const Recipe& recipe);

// "schedule.batch was 32 and is 16", for every key that differs.
std::vector<std::string> Differences(const Recipe& before, const Recipe& now);

// A path as it is if it holds a '/' or ends in ".toml"; else the shipped recipe of that name: in
// $MOBILEVLM_CONFIG_DIR, in the source tree around the executable, or in ../share/mobilevlm/configs.
Result<std::string> FindRecipe(const std::string& name);

}  // namespace mobilevlm::train
