// The everyday objects of the mini world: one table row each (objects.cc).
//
// Names are single lower-case English words out of Unicode's emoji-test.txt (CLDR short names) or a
// common synonym; of each group of look-alikes only one is here, so that a drawing 24 pixels high
// still tells them apart.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mobilevlm::world {

// Hard negatives and hard multiple-choice options are drawn from the same category.
enum class Category { kAnimal, kPlant, kFood, kVehicle, kPlace, kNature, kThing };

enum class Fact { kFlies, kEaten, kAnimal, kVehicle, kPlant };
inline constexpr std::array kFacts = {Fact::kFlies, Fact::kEaten, Fact::kAnimal, Fact::kVehicle,
                                      Fact::kPlant};

struct ObjectInfo {
  char32_t code_point;
  std::string_view name;
  Category category;
  // Exceptions from what the category implies: a letter of "feavp" (flies, eaten, animal, vehicle,
  // plant) says yes, the capital says that people would argue, so the question is never asked.
  std::string_view exceptions = "";
  std::string_view plural = "";  // only where the rules of Plural() do not give it
};

std::span<const ObjectInfo> Objects();

// nullopt: the question would be ambiguous.
std::optional<bool> FactOf(const ObjectInfo& object, Fact fact);
std::string Plural(const ObjectInfo& object);

}  // namespace mobilevlm::world
