#include "train/data/world_text.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace mobilevlm::train {
namespace {

// Where the scene has so many different questions of a kind. Yes and no are one bit each: kinds with such
// answers leave chance only when they are asked often.
constexpr int kMostOfOneKind = 5;

}  // namespace

WorldText::WorldText(const world::World& world, const Tokenizer& tokenizer, int visual, int context,
                     std::map<std::string, double> kind_weights, Shown shown)
    : world_(world),
      tokenizer_(tokenizer),
      visual_(visual),
      grid_(static_cast<int>(std::lround(std::sqrt(visual)))),
      context_(context),
      shown_(shown),
      kind_weights_(std::move(kind_weights)),
      looks_(world, tokenizer) {
  MVLM_CHECK(grid_ * grid_ == visual, "{} visual tokens are no square", visual);
  const world::Vocabulary& words = world.vocabulary();
  for (const std::vector<std::string>* list : {&words.objects, &words.shapes, &words.colours}) {
    for (const std::string& word : *list) cell_ids_[word] = LastPiece(tokenizer, word);
  }
}

TokenSample WorldText::Make(ChatTemplate chat_template, const std::vector<Turn>& turns) const {
  auto sample = MakeTokenSample(tokenizer_, chat_template, turns, visual_);
  MVLM_CHECK(sample.has_value(), "{}", sample.error().message);
  return std::move(*sample);
}

TokenSample WorldText::Caption(const world::Scene& scene) const {
  TokenSample sample =
      Make(ChatTemplate::kPlain, {{.user = "", .assistant = world_.Caption(scene), .images = 1}});
  AddLooks(scene, {&sample, 1});
  return sample;
}

std::vector<world::Question> WorldText::Questions(const world::Scene& scene, int count,
                                                  Random& random) const {
  const int every_kind = static_cast<int>(world::Kinds().size());
  std::vector<world::Question> questions;
  for (int time = 0; time < kMostOfOneKind; ++time) {
    for (world::Question& question : world_.AskAbout(scene, every_kind, random)) {
      const bool known = std::any_of(questions.begin(), questions.end(), [&](const world::Question& other) {
        return other.question == question.question;
      });
      if (!known) questions.push_back(std::move(question));
    }
  }
  // Weighted choice without replacement: the smallest of Exp(1) / weight (Efraimidis and Spirakis 2006).
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto weight = kind_weights_.find(questions[i].kind);
    const double value = weight == kind_weights_.end() ? 1.0 : weight->second;
    const double waiting = -std::log(1.0 - random.Uniform());
    if (value > 0) order.emplace_back(waiting / value, i);
  }
  std::sort(order.begin(), order.end());
  MVLM_CHECK(!order.empty(), "a scene without questions");

  std::vector<world::Question> chosen;
  for (const auto& [key, i] : order) {
    if (static_cast<int>(chosen.size()) == count) break;
    chosen.push_back(std::move(questions[i]));
  }
  return chosen;
}

TokenSample WorldText::Dialogue(const world::Scene& scene, int rounds, Random& random) const {
  std::vector<Turn> turns;
  TokenSample sample;
  for (const world::Question& question : Questions(scene, rounds, random)) {
    turns.push_back(
        {.user = question.question, .assistant = question.answer, .images = turns.empty() ? 1 : 0});
    TokenSample longer = Make(ChatTemplate::kV1, turns);
    if (static_cast<int>(longer.ids.size()) > context_) break;
    sample = std::move(longer);
  }
  MVLM_CHECK(!sample.ids.empty(), "one question does not fit a context of {}", context_);
  AddLooks(scene, {&sample, 1});
  return sample;
}

TokenSample WorldText::Interview(const world::Scene& scene, int rounds, Random& random) const {
  std::vector<TokenSample> samples;
  size_t shared = 0, total = 0;
  for (const world::Question& question : Questions(scene, rounds, random)) {
    TokenSample sample =
        Make(ChatTemplate::kV1, {{.user = question.question, .assistant = question.answer, .images = 1}});
    if (samples.empty()) total = shared = static_cast<size_t>(sample.image_starts[0] + visual_);
    total += sample.ids.size() - shared;
    if (total > static_cast<size_t>(context_)) break;
    samples.push_back(std::move(sample));
  }
  AddLooks(scene, samples);
  return SideBySide(samples, shared);
}

void WorldText::AddLooks(const world::Scene& scene, std::span<TokenSample> samples) const {
  const std::vector<std::vector<int>> cells = Cells(scene);
  const std::vector<ThingInCell> things =
      shown_ == Shown::kWords ? looks_.ToldThings(cells) : looks_.SeenThings(scene, grid_);
  for (TokenSample& sample : samples) looks_.Add(cells, things, sample);
}

TokenSample WorldText::Single(const world::Question& question) const {
  return Make(ChatTemplate::kV1, {{.user = question.question, .assistant = question.answer, .images = 1}});
}

std::vector<std::vector<int>> WorldText::Cells(const world::Scene& scene) const {
  std::vector<std::vector<int>> cells;
  for (const std::vector<std::string>& words : world_.CellWords(scene, grid_)) {
    std::vector<int>& ids = cells.emplace_back();
    // The last piece: digits never join the space before them.
    for (const std::string& word : words) {
      const auto known = cell_ids_.find(word);
      ids.push_back(known != cell_ids_.end() ? known->second : LastPiece(tokenizer_, word));
    }
    if (ids.empty()) ids.push_back(LastPiece(tokenizer_, "."));
  }
  MVLM_CHECK(static_cast<int>(cells.size()) == visual_, "{} cells, {} places", cells.size(), visual_);
  return cells;
}

}  // namespace mobilevlm::train
