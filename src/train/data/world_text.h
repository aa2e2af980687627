// Conversations about scenes of the mini world as training samples.
//
// Everything is a pure function of (scene, random state). Thread contract: const, concurrent calls are fine.
#pragma once

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "text/tokenizer.h"
#include "train/data/token_batch.h"
#include "train/data/world_looks.h"
#include "world/world.h"

namespace mobilevlm::train {

// What stands in the places of a picture: the words of its cells, or what the projector makes of it.
enum class Shown { kWords, kPicture };

// `visual` places per picture, a square number.
class WorldText {
 public:
  WorldText(const world::World& world, const Tokenizer& tokenizer, int visual, int context,
            std::map<std::string, double> kind_weights, Shown shown = Shown::kPicture);

  // Stage 1: picture, caption (plain template).
  TokenSample Caption(const world::Scene& scene) const;
  // Stage 2: up to `rounds` different questions with their answers (v1 template), heavier kinds more often;
  // rounds that the context has no room for are left out. As one conversation:
  TokenSample Dialogue(const world::Scene& scene, int rounds, Random& random) const;
  // As many conversations of one round, side by side (TokenSample::rounds): none can be answered from what
  // another one says, only from the picture.
  TokenSample Interview(const world::Scene& scene, int rounds, Random& random) const;
  // One of the two: a Dialogue in this share of the cases.
  TokenSample Asked(const world::Scene& scene, int rounds, double dialogue_share, Random& random) const {
    return random.Chance(dialogue_share) ? Dialogue(scene, random.Between(1, rounds), random)
                                         : Interview(scene, rounds, random);
  }
  // One question with its answer.
  TokenSample Single(const world::Question& question) const;

  // For every place of the picture the ids of the words in its cell (last piece of each), never none: an
  // empty cell holds the piece of ".".
  std::vector<std::vector<int>> Cells(const world::Scene& scene) const;

  int visual() const { return visual_; }

 private:
  // Different questions about the scene in the order of asking.
  std::vector<world::Question> Questions(const world::Scene& scene, int count, Random& random) const;
  // Adds where attention should look to samples about the scene.
  void AddLooks(const world::Scene& scene, std::span<TokenSample> samples) const;
  TokenSample Make(ChatTemplate chat_template, const std::vector<Turn>& turns) const;

  const world::World& world_;
  const Tokenizer& tokenizer_;
  int visual_;
  int grid_;
  int context_;
  Shown shown_;
  std::map<std::string, double> kind_weights_;
  std::unordered_map<std::string, int> cell_ids_;  // id of every word that a cell can hold
  WorldLooks looks_;
};

}  // namespace mobilevlm::train
