#include "world/facts.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace mobilevlm::world {
namespace {

// 1 / the number of objects that share this answer; 0 if the fact is not asked about the object.
// [object, fact], small enough to be computed once for all.
struct Weights {
  std::vector<std::array<double, kFacts.size()>> of;
  double largest = 0;  // sum over facts

  Weights() : of(Objects().size()) {
    for (Fact fact : kFacts) {
      std::array<int, 2> members = {};
      for (const ObjectInfo& object : Objects()) {
        if (const auto truth = FactOf(object, fact)) ++members[*truth];
      }
      for (size_t i = 0; i < of.size(); ++i) {
        const auto truth = FactOf(Objects()[i], fact);
        of[i][static_cast<size_t>(fact)] = truth ? 1.0 / members[*truth] : 0;
      }
    }
    for (size_t i = 0; i < of.size(); ++i) largest = std::max(largest, Sum(i));
  }
  double Sum(size_t object) const {
    double sum = 0;
    for (double weight : of[object]) sum += weight;
    return sum;
  }
};

// A constant of the object table.
const Weights& TheWeights() {
  static const Weights weights;
  return weights;
}

size_t IndexOf(const ObjectInfo& object) {
  const auto index = static_cast<size_t>(&object - Objects().data());
  MVLM_CHECK(index < Objects().size(), "an object outside the table");
  return index;
}

}  // namespace

int DrawFactObject(Fact fact, bool truth, Random& random) {
  std::vector<int> members;
  for (size_t i = 0; i < Objects().size(); ++i) {
    if (FactOf(Objects()[i], fact) == truth) members.push_back(static_cast<int>(i));
  }
  return members[random.Below(members.size())];
}

Fact DrawFact(const ObjectInfo& object, Random& random) {
  const Weights& weights = TheWeights();
  const size_t index = IndexOf(object);
  double point = random.Uniform(0, weights.Sum(index));
  Fact drawn = kFacts.front();
  for (Fact fact : kFacts) {
    const double weight = weights.of[index][static_cast<size_t>(fact)];
    if (weight == 0) continue;
    drawn = fact;
    point -= weight;
    if (point < 0) break;
  }
  return drawn;
}

double FactShare(const ObjectInfo& object) {
  return TheWeights().Sum(IndexOf(object)) / TheWeights().largest;
}

}  // namespace mobilevlm::world
