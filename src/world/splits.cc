#include "world/splits.h"

#include <fmt/format.h>

#include <set>

#include "base/random.h"
#include "world/names.h"

namespace mobilevlm::world {
namespace {

std::set<std::string> Labels(const Vocabulary& vocabulary, const Scene& scene) {
  std::set<std::string> labels;
  for (const Thing& thing : scene.things) labels.insert(Label(vocabulary, thing));
  return labels;
}

// FNV-1a, finished by one SplitMix64 step because its low bits mix poorly.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  return Random(hash).Next();
}

}  // namespace

BackgroundFamily FamilyOf(uint64_t style) {
  return static_cast<BackgroundFamily>(
      Random::Stream(style, 0).Below(static_cast<uint64_t>(BackgroundFamily::kCount)));
}

bool KeyIgnoresLayout(const Vocabulary& vocabulary, const Scene& scene) {
  return scene.type == SceneType::kText || scene.type == SceneType::kChart ||
         Labels(vocabulary, scene).size() > 1;
}

std::string CombinationKey(const Vocabulary& vocabulary, const Scene& scene) {
  std::string key;
  if (scene.type == SceneType::kText) {
    key = "text ";
    for (const Thing& thing : scene.things) key += Label(vocabulary, thing);
    return key;
  }
  if (scene.type == SceneType::kChart) {
    key = "chart";
    for (const Thing& thing : scene.things)
      key += fmt::format(" {}{}", kColours[thing.colour].name, thing.value);
    return key;
  }
  const std::set<std::string> labels = Labels(vocabulary, scene);
  key = "things";
  for (const std::string& label : labels) key += " " + label;
  if (labels.size() == 1) {
    const Thing& first = scene.things.front();
    key += fmt::format(" x{} zone {} background {}", scene.things.size(), ZoneAt(first.x, first.y),
                       static_cast<int>(FamilyOf(scene.style)));
  }
  return key;
}

Split SplitOf(const Vocabulary& vocabulary, const Scene& scene) {
  switch (Hash(CombinationKey(vocabulary, scene)) % 20) {
    case 0:
      return Split::kValidation;
    case 1:
      return Split::kTest;
    default:
      return Split::kTrain;
  }
}

uint64_t SeedOf(Split split) {
  switch (split) {
    case Split::kTrain:
      return 0x7261696E;
    case Split::kValidation:
      return 0x76616C69;
    case Split::kTest:
      return 0x74657374;
  }
  return 0;
}

}  // namespace mobilevlm::world
