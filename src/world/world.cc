#include "world/world.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "base/check.h"
#include "world/drawings.h"
#include "world/facts.h"
#include "world/layout.h"
#include "world/names.h"
#include "world/questions.h"
#include "world/render.h"
#include "world/splits.h"
#include "world/words.h"

namespace mobilevlm::world {
namespace {

// How much of what a scene holds. Kept while a scene is drawn again, or those with many keys would
// crowd out the others in the small splits.
struct Plan {
  SceneType type = SceneType::kObjects;
  ObjectsWish wish;
  int count = 0;             // of the subject of a crowd
  int others = 0;            // things beside them
  std::optional<Fact> fact;  // the only object is one of which this is `truth`
  bool truth = false;
};

SceneType TypeForTraining(double part) {
  if (part < 0.55) return SceneType::kObjects;
  if (part < 0.70) return SceneType::kCrowd;
  if (part < 0.87) return SceneType::kText;
  return SceneType::kChart;
}

// Card number `index` of ever new shuffled packs of n cards: as random as a throw, but exactly balanced
// over every n.
int Deal(int n, uint64_t seed, uint64_t index) {
  const auto cards = static_cast<uint64_t>(n);
  std::vector<int> pack(cards);
  std::iota(pack.begin(), pack.end(), 0);
  Random random = Random::Stream(~seed, index / cards);
  random.Shuffle(std::span<int>(pack));
  return pack[index % cards];
}

Plan DrawPlan(std::string_view kind, uint64_t seed, uint64_t index, Random& random) {
  Plan plan;
  const double part = random.Uniform();
  if (kind.empty()) plan.type = TypeForTraining(part);
  if (kind == "count") plan.type = SceneType::kCrowd;
  if (kind == "text") plan.type = SceneType::kText;
  if (kind == "chart") plan.type = SceneType::kChart;
  plan.count = Deal(kMaxCount + 1, seed, index);
  if (kind == "colour") plan.wish.colour = Deal(static_cast<int>(kColours.size()), seed, index);
  if (kind == "shape") plan.wish.shape = Deal(kShapes, seed, index);
  // Something is always there, or "none" would be told by an empty picture.
  plan.others = random.Between(plan.count == 0 ? 1 : 0, 2);
  plan.wish.things = random.Between(kind == "relation" ? 2 : 1, kMaxThings);
  if (kind == "name") plan.wish.things = part < 0.5 ? 1 : random.Between(2, kMaxThings);
  if (kind == "fact") {
    const int card = Deal(2 * static_cast<int>(kFacts.size()), seed, index);
    plan.fact = kFacts[static_cast<size_t>(card / 2)];
    plan.truth = card % 2 == 1;
  }
  if (plan.fact || kind == "choice") plan.wish.things = 1;
  const bool object_needed = kind == "name" || kind == "choice" || kind == "presence";
  if (object_needed && plan.wish.things == 1) plan.wish.shape_probability = 0;
  return plan;
}

Scene Compose(const Plan& plan, Split split, Random& random) {
  switch (plan.type) {
    case SceneType::kCrowd:
      return ComposeCrowd(plan.count, plan.others, random);
    case SceneType::kText:
      return ComposeText(split, random);
    case SceneType::kChart:
      return ComposeChart(random);
    case SceneType::kObjects:
      break;
  }
  ObjectsWish wish = plan.wish;
  if (plan.fact) wish.object = DrawFactObject(*plan.fact, plan.truth, random);
  return ComposeObjects(wish, random);
}

// Streams of mixed scenes and of each kind's scenes must not meet.
uint64_t StreamSeed(Split split, std::string_view kind) {
  const auto& kinds = Kinds();  // pages come after the last
  const auto number = static_cast<uint64_t>(std::find(kinds.begin(), kinds.end(), kind) - kinds.begin());
  return Random::Stream(SeedOf(split), kind.empty() ? 0 : number + 1).Next();
}

}  // namespace

struct World::Data {
  WorldOptions options;
  Vocabulary vocabulary;
  Drawings drawings;

  Scene Make(Split split, std::string_view kind, uint64_t index) const;
  Scene MakePage(uint64_t index) const;
};

// Rejection sampling: what is in the wrong split, or cannot be asked about, is drawn again.
Scene World::Data::Make(Split split, std::string_view kind, uint64_t index) const {
  // One name with one place in one background has 45 keys, of which the smaller splits hold few.
  constexpr int kArrangements = 256;
  const uint64_t seed = StreamSeed(split, kind);
  Random random = Random::Stream(seed, index);
  const Plan plan = DrawPlan(kind, seed, index, random);
  for (;;) {
    Scene scene = Compose(plan, split, random);
    const bool fixed_key = KeyIgnoresLayout(vocabulary, scene);
    if (fixed_key && SplitOf(vocabulary, scene) != split) continue;
    for (int attempt = 0; attempt < kArrangements; ++attempt) {
      Arrange(scene, drawings, random);
      if (!fixed_key && SplitOf(vocabulary, scene) != split) continue;
      if (kind.empty() || Suits(scene, kind)) return scene;
      break;
    }
  }
}

Scene World::Data::MakePage(uint64_t index) const {
  Random random = Random::Stream(StreamSeed(Split::kTrain, "page"), index);
  std::vector<Scene> lines(static_cast<size_t>(random.Between(kMinLines, kMaxLines)));
  for (Scene& line : lines) {
    do {
      line = ComposeText(Split::kTrain, random);
    } while (line.things.size() < kMaxTextLength - 1 || SplitOf(vocabulary, line) != Split::kTrain);
  }
  return ArrangePage(lines, drawings, random);
}

const std::vector<std::string>& Kinds() {
  static const std::vector<std::string> kinds = {"name",  "caption",  "presence", "count", "colour", "shape",
                                                 "where", "relation", "text",     "chart", "choice", "fact"};
  return kinds;
}

double ChanceOf(std::string_view kind) {
  if (kind == "name") return 1.0 / static_cast<double>(Objects().size());
  if (kind == "presence" || kind == "relation" || kind == "fact") return 0.5;
  if (kind == "count") return 1.0 / (kMaxCount + 1);
  if (kind == "colour") return 1.0 / static_cast<double>(kColours.size());
  if (kind == "shape") return 1.0 / static_cast<double>(kShapes);
  if (kind == "where") return 1.0 / kZones;
  // Half colours, a quarter values of the tallest bar, a quarter values of any bar.
  if (kind == "chart") {
    constexpr double kTallestGuess = static_cast<double>(kTallestWeights.back()) / kTallestTotal;
    return 0.5 / static_cast<double>(kColours.size()) + 0.25 * kTallestGuess + 0.25 / kMaxBarValue;
  }
  if (kind == "choice") return 0.25;
  MVLM_CHECK(kind == "caption" || kind == "text", "no kind of question '{}'", kind);
  return 0;
}

World::World(std::unique_ptr<const Data> data) : data_(std::move(data)) {}
World::World(World&&) noexcept = default;
World& World::operator=(World&&) noexcept = default;
World::~World() = default;

Result<World> World::Create(const WorldOptions& options) {
  if (options.side < 24 || options.side > 4096) {
    return Fail("picture side: wanted 24 to 4096 pixels, found {}", options.side);
  }
  MVLM_ASSIGN(Drawings drawings, LoadDrawings(options));
  return World(std::make_unique<const Data>(Data{options, MakeVocabulary(), std::move(drawings)}));
}

const Vocabulary& World::vocabulary() const { return data_->vocabulary; }

Scene World::MakeScene(Split split, std::string_view kind, uint64_t index) const {
  MVLM_CHECK(std::find(Kinds().begin(), Kinds().end(), kind) != Kinds().end(), "no kind of question '{}'",
             kind);
  // Captions are of every type of scene, as in training.
  return data_->Make(split, kind == "caption" ? "" : kind, index);
}

Scene World::MakeScene(Split split, uint64_t index) const { return data_->Make(split, "", index); }

Scene World::MakePage(uint64_t index) const { return data_->MakePage(index); }

Rendered World::Render(const Scene& scene) const {
  return RenderScene(scene, data_->drawings, data_->options.side, data_->options.dotted_background);
}

Question World::Ask(const Scene& scene, std::string_view kind, Random& random) const {
  return AskQuestion(data_->vocabulary, scene, kind, random);
}

std::vector<Question> World::AskAbout(const Scene& scene, int count, Random& random) const {
  return AskSeveral(data_->vocabulary, scene, count, random);
}

std::string World::Caption(const Scene& scene) const { return CaptionOf(data_->vocabulary, scene); }

std::vector<std::vector<std::string>> World::CellWords(const Scene& scene, int grid) const {
  return CellWordsOf(data_->vocabulary, scene, grid);
}

}  // namespace mobilevlm::world
