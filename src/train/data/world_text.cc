#include "train/data/world_text.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "world/names.h"
#include "world/objects.h"

namespace mobilevlm::train {
namespace {

// Where the scene has so many different questions of a kind. Yes and no are one bit each: kinds with such
// answers leave chance only when they are asked often.
constexpr int kMostOfOneKind = 5;

// The layers that AddLooks speaks of.
constexpr int kQuestionToPicture = 0;
constexpr int kAnswerToQuestion = 1;
constexpr int kAnswerToPicture = 2;

// How many things BOS stands for where a head counts by dividing its attention.
constexpr float kBosThings = 4;

}  // namespace

WorldText::WorldText(const world::World& world, const Tokenizer& tokenizer, int visual, int context,
                     std::map<std::string, double> kind_weights)
    : world_(world),
      tokenizer_(tokenizer),
      visual_(visual),
      grid_(static_cast<int>(std::lround(std::sqrt(visual)))),
      context_(context),
      kind_weights_(std::move(kind_weights)),
      centre_(LastPiece("centre")) {
  MVLM_CHECK(grid_ * grid_ == visual, "{} visual tokens are no square", visual);
  const world::Vocabulary& words = world.vocabulary();
  for (const std::vector<std::string>* list : {&words.objects, &words.shapes, &words.colours}) {
    for (const std::string& word : *list) named_[LastPiece(word)] = cell_ids_[word] = LastPiece(word);
  }
  for (const world::ObjectInfo& object : world::Objects()) {
    const int plural = LastPiece(world::Plural(object)), single = LastPiece(std::string(object.name));
    objects_.insert(single);
    named_[plural] = single;
    if (plural != single) plurals_.insert(plural);
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
  AddLooks(Cells(scene), sample);
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
  AddLooks(Cells(scene), sample);
  return sample;
}

TokenSample WorldText::Interview(const world::Scene& scene, int rounds, Random& random) const {
  std::vector<TokenSample> samples;
  const std::vector<std::vector<int>> cells = Cells(scene);
  size_t shared = 0, total = 0;
  for (const world::Question& question : Questions(scene, rounds, random)) {
    TokenSample sample =
        Make(ChatTemplate::kV1, {{.user = question.question, .assistant = question.answer, .images = 1}});
    if (samples.empty()) total = shared = static_cast<size_t>(sample.image_starts[0] + visual_);
    total += sample.ids.size() - shared;
    if (total > static_cast<size_t>(context_)) break;
    AddLooks(cells, sample);
    samples.push_back(std::move(sample));
  }
  return SideBySide(samples, shared);
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
      ids.push_back(known != cell_ids_.end() ? known->second : LastPiece(word));
    }
    if (ids.empty()) ids.push_back(LastPiece("."));
  }
  MVLM_CHECK(static_cast<int>(cells.size()) == visual_, "{} cells, {} places", cells.size(), visual_);
  return cells;
}

TokenLook WorldText::Tally(const std::vector<std::vector<int>>& cells, int first, int token, int word) const {
  TokenLook look{.layer = kQuestionToPicture, .token = token, .wanted = {0}, .shares = {kBosThings}};
  float total = kBosThings;
  for (int c = 0; c < visual_; ++c) {
    const std::vector<int>& cell = cells[static_cast<size_t>(c)];
    float things = 0;
    for (size_t i = 1; i < cell.size(); ++i) things += cell[i - 1] == word && cell[i] == centre_ ? 1 : 0;
    if (things == 0) continue;
    look.wanted.push_back(first + c);
    look.shares.push_back(things);
    total += things;
  }
  for (float& share : look.shares) share /= total;
  return look;
}

void WorldText::AddLooks(const std::vector<std::vector<int>>& cells, TokenSample& sample) const {
  const int first = sample.image_starts[0], it = LastPiece("it");
  const auto places_of = [&](int token) {  // of the picture, that hold what the token names
    const auto named = named_.find(token);
    std::vector<int> places;
    if (named == named_.end() && token != it) return places;
    const auto meant = [&](int word) {
      return token == it ? objects_.contains(word) : word == named->second;
    };
    for (int c = 0; c < visual_; ++c) {
      const std::vector<int>& cell = cells[static_cast<size_t>(c)];
      if (std::any_of(cell.begin(), cell.end(), meant)) places.push_back(first + c);
    }
    return places;
  };
  std::vector<int> found;  // words of this question that name something a cell can hold
  for (int t = first + visual_; t < static_cast<int>(sample.ids.size()); ++t) {
    const int id = sample.ids[static_cast<size_t>(t)];
    std::vector<int> places = places_of(id);
    if (sample.supervised[static_cast<size_t>(t)]) {
      if (!found.empty()) sample.looks.push_back({kAnswerToQuestion, t - 1, std::move(found)});
      found.clear();
      if (!places.empty()) sample.looks.push_back({kAnswerToPicture, t - 1, std::move(places)});
    } else if (named_.contains(id) || !places.empty()) {
      if (plurals_.contains(id)) sample.looks.push_back(Tally(cells, first, t, named_.at(id)));
      if (places.empty()) places.push_back(0);
      sample.looks.push_back({kQuestionToPicture, t, std::move(places)});
      found.push_back(t);
    }
  }
}

}  // namespace mobilevlm::train
