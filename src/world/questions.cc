#include "world/questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "world/facts.h"
#include "world/layout.h"
#include "world/names.h"
#include "world/objects.h"
#include "world/words.h"

namespace mobilevlm::world {
namespace {

constexpr float kRelationMargin = 0.12f;  // distance of centres that makes "left of" unambiguous
constexpr float kExtremeMargin = 0.12f;   // lead of the leftmost thing over the next

template <size_t N>
std::string_view Pick(const std::array<std::string_view, N>& wordings, Random& random) {
  return wordings[random.Below(N)];
}

template <class T>
const T& PickOne(const std::vector<T>& items, Random& random) {
  MVLM_CHECK(!items.empty(), "the scene does not suit the question (see Suits)");
  return items[random.Below(items.size())];
}

const ObjectInfo& ObjectOf(const Thing& thing) { return Objects()[static_cast<size_t>(thing.name)]; }

std::string YesNo(bool yes) { return yes ? "yes" : "no"; }

bool IsSingleObject(const Scene& scene) {
  return scene.type == SceneType::kObjects && scene.things.size() == 1 &&
         scene.things[0].kind == ThingKind::kObject;
}

std::vector<const Thing*> ThingsOf(const Scene& scene, ThingKind kind) {
  std::vector<const Thing*> things;
  for (const Thing& thing : scene.things) {
    if (thing.kind == kind) things.push_back(&thing);
  }
  return things;
}

// "dog"; "circle" if it is the only one, else "red circle".
std::string Reference(const Vocabulary& vocabulary, const Scene& scene, const Thing& thing) {
  if (thing.kind == ThingKind::kShape && CountOf(scene, thing.kind, thing.name) == 1) {
    return vocabulary.shapes[static_cast<size_t>(thing.name)];
  }
  return Label(vocabulary, thing);
}

// ---- name

enum class Side { kLeft, kRight, kTop, kBottom };
constexpr std::array kSides = {Side::kLeft, Side::kRight, Side::kTop, Side::kBottom};

struct Extreme {
  Side side;
  const Thing* thing;
};

// The objects that clearly lie furthest to a side.
std::vector<Extreme> Extremes(const Scene& scene) {
  std::vector<Extreme> extremes;
  if (scene.type != SceneType::kObjects || scene.things.size() < 2) return extremes;
  for (Side side : kSides) {
    const bool horizontal = side == Side::kLeft || side == Side::kRight;
    const float sign = side == Side::kLeft || side == Side::kTop ? 1.0f : -1.0f;
    const auto position = [&](const Thing& thing) { return sign * (horizontal ? thing.x : thing.y); };
    std::vector<const Thing*> order;
    for (const Thing& thing : scene.things) order.push_back(&thing);
    std::sort(order.begin(), order.end(),
              [&](const Thing* a, const Thing* b) { return position(*a) < position(*b); });
    if (order[0]->kind == ThingKind::kObject && position(*order[1]) - position(*order[0]) >= kExtremeMargin) {
      extremes.push_back({side, order[0]});
    }
  }
  return extremes;
}

Question AskName(const Scene& scene, Random& random) {
  if (IsSingleObject(scene)) {
    static constexpr std::array<std::string_view, 3> kWordings = {"What is this?", "What is in the picture?",
                                                                  "Name the thing in the picture."};
    return {"name", std::string(Pick(kWordings, random)), std::string(ObjectOf(scene.things[0]).name)};
  }
  static constexpr std::array<std::array<std::string_view, 2>, 4> kWordings = {{
      {"What is the leftmost thing?", "Name the thing furthest to the left."},
      {"What is the rightmost thing?", "Name the thing furthest to the right."},
      {"What is the topmost thing?", "Name the thing nearest to the top."},
      {"What is the lowest thing?", "Name the thing nearest to the bottom."},
  }};
  const Extreme extreme = PickOne(Extremes(scene), random);
  return {"name", std::string(Pick(kWordings[static_cast<size_t>(extreme.side)], random)),
          std::string(ObjectOf(*extreme.thing).name)};
}

// ---- presence and choice

// An object of `category`, or of any if there is none, that the scene does not hold.
int DrawAbsent(const Scene& scene, const Category* category, Random& random) {
  int object = 0;
  do {
    object = static_cast<int>(random.Below(Objects().size()));
  } while (CountOf(scene, ThingKind::kObject, object) > 0 ||
           (category != nullptr && Objects()[static_cast<size_t>(object)].category != *category));
  return object;
}

// Half of the absent ones are of the same category as something shown: the hard negatives of POPE.
Question AskPresence(const Scene& scene, Random& random) {
  const Thing& shown = *PickOne(ThingsOf(scene, ThingKind::kObject), random);
  const bool present = random.Chance(0.5);
  const bool hard = random.Chance(0.5);
  const int object =
      present ? shown.name : DrawAbsent(scene, hard ? &ObjectOf(shown).category : nullptr, random);
  const std::string noun = WithArticle(Objects()[static_cast<size_t>(object)].name);
  static constexpr std::array<std::string_view, 3> kWordings = {"Is there {} in the picture?", "Is there {}?",
                                                                "Does the picture show {}?"};
  return {"presence", fmt::format(fmt::runtime(Pick(kWordings, random)), noun), YesNo(present)};
}

// Four options, all of one category or all of any, so that the odd one out is not the answer.
Question AskChoice(const Scene& scene, Random& random) {
  const ObjectInfo& shown = ObjectOf(scene.things[0]);
  const Category* category = random.Chance(0.5) ? &shown.category : nullptr;
  std::vector<std::string_view> options = {shown.name};
  while (options.size() < 4) {
    const std::string_view name = Objects()[static_cast<size_t>(DrawAbsent(scene, category, random))].name;
    if (std::find(options.begin(), options.end(), name) == options.end()) options.push_back(name);
  }
  const size_t answer = random.Below(options.size());
  std::swap(options[0], options[answer]);
  static constexpr std::array<std::string_view, 2> kWordings = {"What is this?", "Which is shown?"};
  std::string question(Pick(kWordings, random));
  for (size_t i = 0; i < options.size(); ++i) {
    question += fmt::format("\n{}. {}", static_cast<char>('A' + i), options[i]);
  }
  return {"choice", question, std::string(1, static_cast<char>('A' + answer))};
}

// ---- count

Question AskCount(const Scene& scene, Random& random) {
  const ObjectInfo& object = Objects()[static_cast<size_t>(scene.subject)];
  static constexpr std::array<std::string_view, 3> kWordings = {"How many {} are there?", "Count the {}.",
                                                                "How many {} do you see?"};
  return {"count", fmt::format(fmt::runtime(Pick(kWordings, random)), Plural(object)),
          std::to_string(CountOf(scene, ThingKind::kObject, scene.subject))};
}

// ---- colour and shape

// Shapes whose name (or colour) no other shape of the scene shares.
std::vector<const Thing*> UniqueShapes(const Scene& scene, int Thing::*property) {
  const std::vector<const Thing*> shapes = ThingsOf(scene, ThingKind::kShape);
  std::vector<const Thing*> unique;
  for (const Thing* shape : shapes) {
    const auto same = [&](const Thing* other) { return other->*property == shape->*property; };
    if (std::count_if(shapes.begin(), shapes.end(), same) == 1) unique.push_back(shape);
  }
  return unique;
}

Question AskColour(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  const Thing& shape = *PickOne(UniqueShapes(scene, &Thing::name), random);
  static constexpr std::array<std::string_view, 2> kWordings = {"What colour is the {}?",
                                                                "Which colour does the {} have?"};
  return {
      "colour",
      fmt::format(fmt::runtime(Pick(kWordings, random)), vocabulary.shapes[static_cast<size_t>(shape.name)]),
      vocabulary.colours[static_cast<size_t>(shape.colour)]};
}

Question AskShape(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  const Thing& shape = *PickOne(UniqueShapes(scene, &Thing::colour), random);
  static constexpr std::array<std::string_view, 2> kWordings = {"What shape is {}?", "Which shape is {}?"};
  return {"shape",
          fmt::format(fmt::runtime(Pick(kWordings, random)),
                      vocabulary.colours[static_cast<size_t>(shape.colour)]),
          vocabulary.shapes[static_cast<size_t>(shape.name)]};
}

// ---- where and relation

std::vector<const Thing*> ClearlyPlaced(const Scene& scene) {
  std::vector<const Thing*> things;
  for (const Thing& thing : scene.things) {
    if (ClearZone(thing.x, thing.y)) things.push_back(&thing);
  }
  return things;
}

Question AskWhere(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  const Thing& thing = *PickOne(ClearlyPlaced(scene), random);
  static constexpr std::array<std::string_view, 2> kWordings = {"Where is the {}?",
                                                                "In which part of the picture is the {}?"};
  return {"where", fmt::format(fmt::runtime(Pick(kWordings, random)), Reference(vocabulary, scene, thing)),
          std::string(ZoneName(*ClearZone(thing.x, thing.y)))};
}

struct Relation {
  const Thing* first;
  const Thing* second;
  bool horizontal;
};

std::vector<Relation> Relations(const Scene& scene) {
  std::vector<Relation> relations;
  for (const Thing& a : scene.things) {
    for (const Thing& b : scene.things) {
      if (&a == &b) continue;
      if (std::abs(a.x - b.x) >= kRelationMargin) relations.push_back({&a, &b, true});
      if (std::abs(a.y - b.y) >= kRelationMargin) relations.push_back({&a, &b, false});
    }
  }
  return relations;
}

// The false statement is the opposite of the true one.
Question AskRelation(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  const Relation relation = PickOne(Relations(scene), random);
  const bool before =
      relation.horizontal ? relation.first->x < relation.second->x : relation.first->y < relation.second->y;
  const bool truth = random.Chance(0.5);
  const bool say_before = before == truth;
  const std::string_view words =
      relation.horizontal ? (say_before ? "left of" : "right of") : (say_before ? "above" : "below");
  const std::string first = Reference(vocabulary, scene, *relation.first);
  const std::string second = Reference(vocabulary, scene, *relation.second);
  return {"relation", fmt::format("Is the {} {} the {}?", first, words, second), YesNo(truth)};
}

// ---- text and chart

Question AskText(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  static constexpr std::array<std::string_view, 3> kWordings = {"What does it say?", "Read the text.",
                                                                "What is written here?"};
  std::string text;
  for (const Thing& thing : scene.things) text += Label(vocabulary, thing);
  return {"text", std::string(Pick(kWordings, random)), text};
}

// How often a bar of value 1 to 9 is chosen against another of the same chart. Fitted to ComposeChart's
// distribution (by iterating weight *= wanted / found frequency), so that all values are equally frequent
// answers although middling bars are the most frequent.
constexpr std::array<double, kMaxBarValue> kBarWeights = {2.22, 0.96, 0.83, 0.86, 1.00,
                                                          1.30, 1.92, 3.36, 8.12};

double BarWeight(const Thing& bar) { return kBarWeights[static_cast<size_t>(bar.value - 1)]; }

const Thing& DrawBarByWeight(const Scene& scene, Random& random) {
  double total = 0;
  for (const Thing& bar : scene.things) total += BarWeight(bar);
  double point = random.Uniform(0, total);
  for (const Thing& bar : scene.things) {
    point -= BarWeight(bar);
    if (point < 0) return bar;
  }
  return scene.things.back();
}

Question AskChart(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  const Thing& tallest = *std::max_element(scene.things.begin(), scene.things.end(),
                                           [](const Thing& a, const Thing& b) { return a.value < b.value; });
  const auto colour = [&](const Thing& bar) { return vocabulary.colours[static_cast<size_t>(bar.colour)]; };
  if (random.Chance(0.5)) return {"chart", "Which bar is tallest?", colour(tallest)};
  if (random.Chance(0.5))
    return {"chart", "What is the value of the tallest bar?", std::to_string(tallest.value)};
  const Thing& bar = DrawBarByWeight(scene, random);
  return {"chart", fmt::format("How tall is the {} bar?", colour(bar)), std::to_string(bar.value)};
}

Question AskFact(const Scene& scene, Random& random) {
  static constexpr std::array<std::string_view, kFacts.size()> kWordings = {
      "Can it fly?", "Do people eat it?", "Is it an animal?", "Is it a vehicle?", "Is it a plant?"};
  const ObjectInfo& object = ObjectOf(scene.things[0]);
  const Fact fact = DrawFact(object, random);
  return {"fact", std::string(kWordings[static_cast<size_t>(fact)]), YesNo(*FactOf(object, fact))};
}

Question AskCaption(const Vocabulary& vocabulary, const Scene& scene, Random& random) {
  static constexpr std::array<std::string_view, 2> kWordings = {"Describe the picture.", "What do you see?"};
  return {"caption", std::string(Pick(kWordings, random)), CaptionOf(vocabulary, scene)};
}

}  // namespace

bool Suits(const Scene& scene, std::string_view kind) {
  const bool objects = scene.type == SceneType::kObjects;
  if (kind == "caption") return true;
  if (kind == "name") return IsSingleObject(scene) || !Extremes(scene).empty();
  if (kind == "presence") return !ThingsOf(scene, ThingKind::kObject).empty();
  if (kind == "count") return scene.type == SceneType::kCrowd;
  if (kind == "colour") return objects && !UniqueShapes(scene, &Thing::name).empty();
  if (kind == "shape") return objects && !UniqueShapes(scene, &Thing::colour).empty();
  if (kind == "where") return objects && !ClearlyPlaced(scene).empty();
  if (kind == "relation") return objects && !Relations(scene).empty();
  if (kind == "text") return scene.type == SceneType::kText;
  if (kind == "chart") return scene.type == SceneType::kChart;
  if (kind == "choice" || kind == "fact") return IsSingleObject(scene);
  return false;
}

Question AskQuestion(const Vocabulary& vocabulary, const Scene& scene, std::string_view kind,
                     Random& random) {
  MVLM_CHECK(Suits(scene, kind), "a question of kind '{}' does not suit the scene", kind);
  if (kind == "name") return AskName(scene, random);
  if (kind == "caption") return AskCaption(vocabulary, scene, random);
  if (kind == "presence") return AskPresence(scene, random);
  if (kind == "count") return AskCount(scene, random);
  if (kind == "colour") return AskColour(vocabulary, scene, random);
  if (kind == "shape") return AskShape(vocabulary, scene, random);
  if (kind == "where") return AskWhere(vocabulary, scene, random);
  if (kind == "relation") return AskRelation(vocabulary, scene, random);
  if (kind == "text") return AskText(vocabulary, scene, random);
  if (kind == "chart") return AskChart(vocabulary, scene, random);
  if (kind == "choice") return AskChoice(scene, random);
  return AskFact(scene, random);
}

std::vector<Question> AskSeveral(const Vocabulary& vocabulary, const Scene& scene, int count,
                                 Random& random) {
  std::vector<std::string> kinds;
  for (const std::string& kind : Kinds()) {
    if (!Suits(scene, kind)) continue;
    // Objects come with equal frequency; asking facts about some less often balances yes and no.
    if (kind == "fact" && !random.Chance(FactShare(ObjectOf(scene.things[0])))) continue;
    kinds.push_back(kind);
  }
  random.Shuffle(std::span<std::string>(kinds));
  std::vector<Question> questions;
  for (const std::string& kind : kinds) {
    if (static_cast<int>(questions.size()) == count) break;
    questions.push_back(AskQuestion(vocabulary, scene, kind, random));
  }
  return questions;
}

}  // namespace mobilevlm::world
