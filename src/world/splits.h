// Which split a scene belongs to, by what it combines (docs/world.md): no combination of the test
// split ever occurs in training.
#pragma once

#include <cstdint>
#include <string>

#include "world/world.h"

namespace mobilevlm::world {

// The background's family is part of the key of scenes with one name, so it is a pure function of the style.
// kDots is of no split: WorldOptions::dotted_background.
enum class BackgroundFamily { kFlat, kGradient, kNoise, kStripes, kChecker, kCount, kDots = kCount };
BackgroundFamily FamilyOf(uint64_t style);

// Two or more distinct labels: the sorted set of them. One: label, number, 3x3 cell of the first thing
// and background family. Text: the string. Chart: the bars' colours and values in order.
std::string CombinationKey(const Vocabulary& vocabulary, const Scene& scene);
// True if the key is the same whatever the places and the style are.
bool KeyIgnoresLayout(const Vocabulary& vocabulary, const Scene& scene);
// hash % 20: 0 is validation, 1 is test, the other 18 are training.
Split SplitOf(const Vocabulary& vocabulary, const Scene& scene);

// The seed of a split's scene streams.
uint64_t SeedOf(Split split);

}  // namespace mobilevlm::world
