#include "train/data/world_looks.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "world/names.h"
#include "world/objects.h"

namespace mobilevlm::train {
namespace {

// Layers of the list in world_looks.h.
constexpr int kQuestionToPicture = 0;
constexpr int kAnswerToQuestion = 1;
constexpr int kTally = 1;
constexpr int kAnswerToPicture = 2;
constexpr int kAnswerToTally = 2;
constexpr int kTallyReadHead = 1;

// How many things BOS stands for: of the scenes that count, 0 to 8 are asked for, 0 to 2 are others.
constexpr float kBosThings = 4, kBosOthers = 2;

}  // namespace

int LastPiece(const Tokenizer& tokenizer, const std::string& word) { return tokenizer.Encode(word).back(); }

WorldLooks::WorldLooks(const world::World& world, const Tokenizer& tokenizer)
    : centre_(LastPiece(tokenizer, "centre")),
      it_(LastPiece(tokenizer, "it")),
      many_(LastPiece(tokenizer, "many")),
      count_(LastPiece(tokenizer, "Count")) {
  const world::Vocabulary& words = world.vocabulary();
  for (const std::vector<std::string>* list : {&words.objects, &words.shapes, &words.colours}) {
    for (const std::string& word : *list) {
      const int piece = LastPiece(tokenizer, word);
      named_[piece] = piece;
    }
  }
  // A plural of several pieces may end as others do, and then its end names nothing.
  std::map<int, std::vector<int>> endings;
  for (const world::ObjectInfo& object : world::Objects()) {
    const int single = LastPiece(tokenizer, std::string(object.name));
    objects_.insert(single);
    object_words_.push_back(single);
    endings[LastPiece(tokenizer, world::Plural(object))].push_back(single);
  }
  for (const auto& [plural, singles] : endings) {
    if (singles.size() == 1) named_[plural] = singles[0];
  }
}

std::vector<int> WorldLooks::PlacesOf(int id, const std::vector<std::vector<int>>& cells, int first) const {
  std::vector<int> places;
  const auto named = named_.find(id);
  if (named == named_.end() && id != it_) return places;
  const auto meant = [&](int word) { return id == it_ ? objects_.contains(word) : word == named->second; };
  for (size_t c = 0; c < cells.size(); ++c) {
    if (std::any_of(cells[c].begin(), cells[c].end(), meant)) places.push_back(first + static_cast<int>(c));
  }
  return places;
}

bool WorldLooks::AsksNumberAt(const TokenSample& sample, int token) const {
  const auto at = static_cast<size_t>(token);
  return named_.contains(sample.ids[at]) && objects_.contains(named_.at(sample.ids[at])) && at >= 2 &&
         (sample.ids[at - 1] == many_ || sample.ids[at - 2] == count_);
}

std::vector<ThingInCell> WorldLooks::ToldThings(const std::vector<std::vector<int>>& cells) const {
  std::vector<ThingInCell> things;
  for (size_t c = 0; c < cells.size(); ++c) {
    for (size_t i = 1; i < cells[c].size(); ++i) {
      if (cells[c][i] == centre_) things.push_back({static_cast<int>(c), cells[c][i - 1], 1});
    }
  }
  return things;
}

std::vector<ThingInCell> WorldLooks::SeenThings(const world::Scene& scene, int grid) const {
  // How much of [centre - extent / 2, centre + extent / 2] lies in each cell of an axis.
  const auto along = [grid](float centre, float extent) {
    const float cells = static_cast<float>(grid), low = std::max(centre - extent / 2, 0.0f) * cells,
                high = std::min(centre + extent / 2, 1.0f) * cells;
    std::vector<std::pair<int, float>> shares;
    for (int cell = static_cast<int>(low); cell < grid; ++cell) {
      const float begin = std::max(low, static_cast<float>(cell)),
                  end = std::min(high, static_cast<float>(cell + 1));
      if (end > begin) shares.emplace_back(cell, (end - begin) / (high - low));
    }
    return shares;
  };
  std::vector<ThingInCell> things;
  for (const world::Thing& thing : scene.things) {
    const int word =
        thing.kind == world::ThingKind::kObject ? object_words_[static_cast<size_t>(thing.name)] : 0;
    for (const auto& [row, down] : along(thing.y, thing.h)) {
      for (const auto& [column, aside] : along(thing.x, thing.w)) {
        things.push_back({row * grid + column, word, down * aside});
      }
    }
  }
  return things;
}

TokenLook WorldLooks::Tally(Tallied tallied, const std::vector<ThingInCell>& things, int first, int token,
                            int word) const {
  const float bos = tallied == Tallied::kOthers ? kBosOthers : kBosThings;
  std::map<int, float> shares = {{0, bos}};  // by place
  float total = bos;
  for (const ThingInCell& thing : things) {
    if (tallied != Tallied::kAll && (thing.word == word) != (tallied == Tallied::kAsked)) continue;
    shares[first + thing.cell] += thing.share;
    total += thing.share;
  }
  TokenLook look{.layer = kTally, .head = 1 + static_cast<int>(tallied), .token = token};
  for (const auto& [place, share] : shares) {
    look.wanted.push_back(place);
    look.shares.push_back(share / total);
  }
  return look;
}

void WorldLooks::Add(const std::vector<std::vector<int>>& cells, const std::vector<ThingInCell>& things,
                     TokenSample& sample) const {
  const int first = sample.image_starts[0], tokens = static_cast<int>(sample.ids.size());
  std::vector<int> found;  // words of this question that name something a cell can hold
  int counted = -1;        // the one whose number it asks for
  for (int t = first + static_cast<int>(cells.size()); t < tokens; ++t) {
    const int id = sample.ids[static_cast<size_t>(t)];
    std::vector<int> places = PlacesOf(id, cells, first);
    if (sample.supervised[static_cast<size_t>(t)]) {
      if (!found.empty()) {
        sample.looks.push_back(
            {.layer = kAnswerToQuestion, .head = 0, .token = t - 1, .wanted = std::move(found)});
      }
      found.clear();
      if (!places.empty()) {
        sample.looks.push_back(
            {.layer = kAnswerToPicture, .head = 0, .token = t - 1, .wanted = std::move(places)});
      }
      // A number has a piece of space before it.
      if (counted >= 0 && t + 1 < tokens && sample.supervised[static_cast<size_t>(t + 1)]) {
        sample.looks.push_back(
            {.layer = kAnswerToTally, .head = kTallyReadHead, .token = t, .wanted = {counted}});
      }
      counted = -1;
    } else if (named_.contains(id) || !places.empty()) {
      if (AsksNumberAt(sample, t)) {
        counted = t;
        for (const Tallied tallied : {Tallied::kAsked, Tallied::kAll, Tallied::kOthers}) {
          sample.looks.push_back(Tally(tallied, things, first, t, named_.at(id)));
        }
      }
      if (places.empty()) places.push_back(0);
      sample.looks.push_back(
          {.layer = kQuestionToPicture, .head = 0, .token = t, .wanted = std::move(places)});
      found.push_back(t);
    }
  }
}

}  // namespace mobilevlm::train
