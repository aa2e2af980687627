// Conversations about scenes of the mini world as training samples.
//
// Everything is a pure function of (scene, random state). Thread contract: const, concurrent calls are fine.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "text/tokenizer.h"
#include "train/data/token_batch.h"
#include "world/world.h"

namespace mobilevlm::train {

// `visual` places per picture, a square number.
class WorldText {
 public:
  WorldText(const world::World& world, const Tokenizer& tokenizer, int visual, int context,
            std::map<std::string, double> kind_weights);

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

  // Adds where attention should look in a sample about these cells (see Cells): in the first layer from each
  // word of a question that cells can hold to the cells that do hold it, or to BOS if none does; in the
  // second from where the answer begins to those words; in the third from before each such word of an answer
  // to its cells. "it" looks at every object. From the plural in a question the second head of the first
  // layer divides its attention evenly among the centres of those things and BOS, which weighs as much as
  // four of them: what is left for BOS tells how many they are, where attention alone, an average, would not.
  // The generator knows where the answer lies, and the paths that lead there are hard to find from yes and no
  // alone. (Supervised attention: Liu et al., "Neural Machine Translation with Supervised Attention", 2016.)
  void AddLooks(const std::vector<std::vector<int>>& cells, TokenSample& sample) const;

 private:
  // Different questions about the scene in the order of asking.
  std::vector<world::Question> Questions(const world::Scene& scene, int count, Random& random) const;
  // The look from `token`, the plural of `word`, that counts: see AddLooks.
  TokenLook Tally(const std::vector<std::vector<int>>& cells, int first, int token, int word) const;
  int LastPiece(const std::string& word) const { return tokenizer_.Encode(word).back(); }
  TokenSample Make(ChatTemplate chat_template, const std::vector<Turn>& turns) const;

  const world::World& world_;
  const Tokenizer& tokenizer_;
  int visual_;
  int grid_;
  int context_;
  std::map<std::string, double> kind_weights_;
  int centre_;                                     // id of the word that marks the cell with a thing's centre
  std::unordered_map<std::string, int> cell_ids_;  // id of every word that a cell can hold
  std::unordered_map<int, int> named_;             // id of a word in a question -> that of the cells it names
  std::unordered_set<int> objects_;                // ids of the words for objects
  std::unordered_set<int> plurals_;                // keys of named_
};

}  // namespace mobilevlm::train
