#include "world/objects.h"

namespace mobilevlm::world {
namespace {

constexpr auto kAnimal = Category::kAnimal;
constexpr auto kPlant = Category::kPlant;
constexpr auto kFood = Category::kFood;
constexpr auto kVehicle = Category::kVehicle;
constexpr auto kPlace = Category::kPlace;
constexpr auto kNature = Category::kNature;
constexpr auto kThing = Category::kThing;

// clang-format off
constexpr ObjectInfo kObjects[] = {
    {0x1F412, "monkey", kAnimal},
    {0x1F415, "dog", kAnimal},
    {0x1F98A, "fox", kAnimal},
    {0x1F408, "cat", kAnimal},
    {0x1F981, "lion", kAnimal},
    {0x1F405, "tiger", kAnimal},
    {0x1F40E, "horse", kAnimal},
    {0x1F993, "zebra", kAnimal},
    {0x1F404, "cow", kAnimal},
    {0x1F416, "pig", kAnimal},
    {0x1F411, "sheep", kAnimal, "", "sheep"},
    {0x1F42A, "camel", kAnimal},
    {0x1F992, "giraffe", kAnimal},
    {0x1F418, "elephant", kAnimal},
    {0x1F401, "mouse", kAnimal, "", "mice"},
    {0x1F407, "rabbit", kAnimal},
    {0x1F987, "bat", kAnimal, "f"},
    {0x1F43B, "bear", kAnimal},
    {0x1F43C, "panda", kAnimal},
    {0x1F413, "rooster", kAnimal, "F"},
    {0x1F424, "chick", kAnimal, "F"},
    {0x1F427, "penguin", kAnimal},
    {0x1F985, "eagle", kAnimal, "f"},
    {0x1F986, "duck", kAnimal, "f"},
    {0x1F9A2, "swan", kAnimal, "f"},
    {0x1F989, "owl", kAnimal, "f"},
    {0x1F9A9, "flamingo", kAnimal, "f"},
    {0x1F99A, "peacock", kAnimal, "F"},
    {0x1F99C, "parrot", kAnimal, "f"},
    {0x1F438, "frog", kAnimal},
    {0x1F40A, "crocodile", kAnimal},
    {0x1F422, "turtle", kAnimal},
    {0x1F40D, "snake", kAnimal},
    {0x1F40B, "whale", kAnimal},
    {0x1F41F, "fish", kAnimal, "", "fish"},
    {0x1F419, "octopus", kAnimal, "E"},
    {0x1F40C, "snail", kAnimal},
    {0x1F98B, "butterfly", kAnimal, "f"},
    {0x1F41B, "caterpillar", kAnimal, "F"},
    {0x1F41D, "bee", kAnimal, "f"},
    {0x1F41E, "ladybug", kAnimal, "f"},
    {0x1F577, "spider", kAnimal},
    {0x1F980, "crab", kAnimal, "e"},
    {0x1F339, "rose", kPlant, "E"},
    {0x1F33B, "sunflower", kPlant, "E"},
    {0x1F337, "tulip", kPlant},
    {0x1F335, "cactus", kPlant, "E"},
    {0x1F334, "palm", kPlant, "E"},
    {0x1F332, "evergreen", kPlant},
    {0x1F333, "tree", kPlant},
    {0x1F340, "clover", kPlant, "E"},
    {0x1F344, "mushroom", kFood, "P"},
    {0x1F349, "watermelon", kFood, "P"},
    {0x1F34A, "tangerine", kFood, "P"},
    {0x1F34B, "lemon", kFood, "P"},
    {0x1F34C, "banana", kFood, "P"},
    {0x1F34D, "pineapple", kFood, "P"},
    {0x1F34E, "apple", kFood, "P"},
    {0x1F350, "pear", kFood, "P"},
    {0x1F352, "cherry", kFood, "P"},
    {0x1F353, "strawberry", kFood, "P"},
    {0x1F347, "grape", kFood, "P"},
    {0x1F95D, "kiwi", kFood, "P"},
    {0x1F951, "avocado", kFood, "P"},
    {0x1F346, "eggplant", kFood, "P"},
    {0x1F955, "carrot", kFood, "P"},
    {0x1F336, "pepper", kFood, "P"},
    {0x1F952, "cucumber", kFood, "P"},
    {0x1F966, "broccoli", kFood, "P", "broccoli"},
    {0x1F950, "croissant", kFood},
    {0x1F968, "pretzel", kFood},
    {0x1F9C0, "cheese", kFood},
    {0x1F354, "hamburger", kFood},
    {0x1F355, "pizza", kFood},
    {0x1F32D, "hotdog", kFood, "A"},
    {0x1F32E, "taco", kFood},
    {0x1F95A, "egg", kFood, "A"},
    {0x1F369, "doughnut", kFood},
    {0x1F36A, "cookie", kFood},
    {0x1F382, "cake", kFood},
    {0x1F9C1, "cupcake", kFood},
    {0x1F36D, "lollipop", kFood},
    {0x1F686, "train", kVehicle},
    {0x1F68C, "bus", kVehicle},
    {0x1F691, "ambulance", kVehicle},
    {0x1F695, "taxi", kVehicle},
    {0x1F697, "car", kVehicle},
    {0x1F69A, "truck", kVehicle},
    {0x1F69C, "tractor", kVehicle},
    {0x1F3CD, "motorcycle", kVehicle},
    {0x1F6F4, "scooter", kVehicle},
    {0x1F6B2, "bicycle", kVehicle},
    {0x26F5, "sailboat", kVehicle},
    {0x1F6F6, "canoe", kVehicle},
    {0x1F6A2, "ship", kVehicle},
    {0x2708, "airplane", kVehicle, "f"},
    {0x1F681, "helicopter", kVehicle, "f"},
    {0x1F680, "rocket", kVehicle, "fV"},
    {0x1F30B, "volcano", kPlace, "", "volcanoes"},
    {0x1F3E0, "house", kPlace},
    {0x1F3F0, "castle", kPlace},
    {0x26EA, "church", kPlace},
    {0x26F2, "fountain", kPlace},
    {0x26FA, "tent", kPlace},
    {0x1F5FC, "tower", kPlace},
    {0x2600, "sun", kNature},
    {0x1F319, "moon", kNature},
    {0x2601, "cloud", kNature, "F"},
    {0x1F308, "rainbow", kNature},
    {0x2744, "snowflake", kNature, "F"},
    {0x1F525, "fire", kNature},
    {0x1F30D, "globe", kNature},
    {0x1F9B4, "bone", kNature, "EA"},
    {0x1F480, "skull", kNature, "A"},
    {0x1F916, "robot", kThing},
    {0x26C4, "snowman", kThing, "", "snowmen"},
    {0x1F388, "balloon", kThing, "F"},
    {0x1F381, "gift", kThing},
    {0x1F3C6, "trophy", kThing},
    {0x26BD, "football", kThing},
    {0x1F3C0, "basketball", kThing},
    {0x26BE, "baseball", kThing},
    {0x1FA81, "kite", kThing, "f"},
    {0x1F455, "shirt", kThing},
    {0x1F457, "dress", kThing},
    {0x1F392, "backpack", kThing},
    {0x1F97E, "boot", kThing},
    {0x1F45F, "shoe", kThing},
    {0x1F451, "crown", kThing},
    {0x1F3A9, "hat", kThing},
    {0x1F48E, "gem", kThing},
    {0x1F514, "bell", kThing},
    {0x1F3A4, "microphone", kThing},
    {0x1F3A7, "headphone", kThing},
    {0x1F4FB, "radio", kThing},
    {0x1F3B8, "guitar", kThing},
    {0x1F941, "drum", kThing},
    {0x260E, "telephone", kThing},
    {0x1F50B, "battery", kThing},
    {0x1F4BB, "laptop", kThing},
    {0x1F4FA, "television", kThing},
    {0x1F4F7, "camera", kThing},
    {0x1F56F, "candle", kThing},
    {0x1F4A1, "bulb", kThing},
    {0x1F4D5, "book", kThing},
    {0x2709, "envelope", kThing},
    {0x1F4E6, "package", kThing},
    {0x270F, "pencil", kThing},
    {0x1F4BC, "briefcase", kThing},
    {0x1F4C5, "calendar", kThing},
    {0x1F512, "lock", kThing},
    {0x1F511, "key", kThing},
    {0x1F528, "hammer", kThing},
    {0x1FA93, "axe", kThing},
    {0x1F4A3, "bomb", kThing},
    {0x1FA9A, "saw", kThing},
    {0x1F527, "wrench", kThing},
    {0x2699, "gear", kThing},
    {0x1F9F2, "magnet", kThing},
    {0x1FA9C, "ladder", kThing},
    {0x1F52C, "microscope", kThing},
    {0x1F48A, "pill", kThing},
    {0x1F6AA, "door", kThing},
    {0x1FA9F, "window", kThing},
    {0x1F6CF, "bed", kThing},
    {0x1F6CB, "couch", kThing},
    {0x1FA91, "chair", kThing},
    {0x1F6BD, "toilet", kThing},
    {0x1F9F9, "broom", kThing},
    {0x1F9FA, "basket", kThing},
    {0x1FAA3, "bucket", kThing},
    {0x2693, "anchor", kThing},
    {0x231B, "hourglass", kThing},
    {0x231A, "watch", kThing},
    {0x1F321, "thermometer", kThing},
    {0x2602, "umbrella", kThing},
    {0x1F37A, "mug", kThing, "E"},
    {0x1FAD6, "teapot", kThing},
    {0x1F944, "spoon", kThing},
    {0x1F52A, "knife", kThing, "", "knives"},
};
// clang-format on

constexpr std::string_view kLetters = "feavp";  // as kFacts

bool EndsWith(std::string_view word, std::string_view ending) { return word.ends_with(ending); }

// What a category says of its members; nullopt where members differ too much.
std::optional<bool> Implied(Category category, Fact fact) {
  switch (fact) {
    case Fact::kFlies:
      return false;
    case Fact::kEaten:  // people disagree about animals
      if (category == Category::kAnimal) return std::nullopt;
      return category == Category::kFood;
    case Fact::kAnimal:
      return category == Category::kAnimal;
    case Fact::kVehicle:
      return category == Category::kVehicle;
    case Fact::kPlant:
      return category == Category::kPlant;
  }
  return std::nullopt;
}

}  // namespace

std::span<const ObjectInfo> Objects() { return kObjects; }

std::optional<bool> FactOf(const ObjectInfo& object, Fact fact) {
  const char letter = kLetters[static_cast<size_t>(fact)];
  const char capital = static_cast<char>(letter - 'a' + 'A');
  if (object.exceptions.find(letter) != std::string_view::npos) return true;
  if (object.exceptions.find(capital) != std::string_view::npos) return std::nullopt;
  return Implied(object.category, fact);
}

std::string Plural(const ObjectInfo& object) {
  if (!object.plural.empty()) return std::string(object.plural);
  const std::string_view name = object.name;
  if (EndsWith(name, "s") || EndsWith(name, "x") || EndsWith(name, "ch") || EndsWith(name, "sh")) {
    return std::string(name) + "es";
  }
  const bool vowel_before_y =
      name.size() > 1 && std::string_view("aeiou").find(name[name.size() - 2]) != std::string_view::npos;
  if (EndsWith(name, "y") && !vowel_before_y) return std::string(name.substr(0, name.size() - 1)) + "ies";
  return std::string(name) + "s";
}

}  // namespace mobilevlm::world
