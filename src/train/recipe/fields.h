// Every key of a recipe: its name, where its value lies, what it may be. Reader, writer and command line use
// this one table.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "train/recipe/recipe.h"

namespace mobilevlm::train {

struct Field {
  using Value = std::variant<std::string*, double*, int64_t*, bool*, std::vector<std::string>*,
                             std::vector<double>*, std::map<std::string, double>*>;

  std::string key;                        // "schedule.steps"
  Value value;                            // points into the recipe
  double least = 0, most = 0;             // of numbers
  std::vector<std::string> choices = {};  // of strings and lists of strings; empty: anything
};

// The keys in the order they are written, section by section.
std::vector<Field> Fields(Recipe& recipe);

// Is the value within the field's limits? An Error "KEY: wanted ..., found ...".
Status CheckField(const Field& field);

}  // namespace mobilevlm::train
