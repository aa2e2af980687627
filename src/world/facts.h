// Which fact is asked about which object, so that for every fact "yes" and "no" are equally frequent.
//
// The target distribution draws a fact, then yes or no, then an object of which that is true, each
// uniformly. It is sampled in either order: object first needs DrawFact's posterior.
#pragma once

#include "base/random.h"
#include "world/objects.h"

namespace mobilevlm::world {

// Index of an object of which `fact` has this truth: the target distribution, once those two are drawn.
int DrawFactObject(Fact fact, bool truth, Random& random);
// The fact to ask about an object, given that it is the one shown.
Fact DrawFact(const ObjectInfo& object, Random& random);
// The object's probability in the target distribution, relative to the most frequent object's: asking
// facts with this probability turns uniform objects into the target distribution.
double FactShare(const ObjectInfo& object);

}  // namespace mobilevlm::world
