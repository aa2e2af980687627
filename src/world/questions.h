// Questions and answers about a scene, from its geometry alone.
//
// Balance: each kind is asked so that the answer, given only the words of the question, is as even as
// the kind allows (ChanceOf). Where the scene decides the answer, MakeScene supplies balanced scenes.
#pragma once

#include "world/world.h"

namespace mobilevlm::world {

// Whether an unambiguous question of this kind can be asked.
bool Suits(const Scene& scene, std::string_view kind);
Question AskQuestion(const Vocabulary& vocabulary, const Scene& scene, std::string_view kind, Random& random);
std::vector<Question> AskSeveral(const Vocabulary& vocabulary, const Scene& scene, int count, Random& random);

}  // namespace mobilevlm::world
