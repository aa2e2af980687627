// Where attention should look in samples about scenes of the mini world.
//
// The generator of the scenes knows where an answer lies, and the paths that lead there are hard to find from
// yes and no alone (supervised attention: Liu et al., "Neural Machine Translation with Supervised Attention",
// 2016). Layers and heads count from 0; what a smaller decoder does not have is not taught.
//
// - Layer 0, head 0: from a word that cells can hold to the cells that hold it, or to BOS if none does; "it"
//   looks at every object.
// - Layer 1, head 0: from where the answer begins to those words of the question.
// - Layer 2, head 0: from before such a word of the answer to its cells.
// - Layer 1, heads 1 to 3: from the word whose number is asked for, divided evenly among its things and BOS,
//   among all things and BOS, among the other things and BOS.
// - Layer 2, head 1: from before the number to that word.
//
// Attention is an average, which forgets how many there are; what is left for BOS, which weighs as much as a
// few things, tells. Counting what is asked for needs the same attention to 180 different objects; counting
// all things does not, and the others are few, so the three say it more surely than the first alone. They
// stand in the second layer because the sums of words in a cell differ in length, which the first layer can
// even out.
//
// Thread contract: const, concurrent calls are fine.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/tokenizer.h"
#include "train/data/token_batch.h"
#include "world/world.h"

namespace mobilevlm::train {

// The piece that stands for a word: its last one.
int LastPiece(const Tokenizer& tokenizer, const std::string& word);

// How much of a thing is counted in one cell; 1 in all cells together.
struct ThingInCell {
  int cell = 0;
  int word = 0;  // the object's name; another word or 0 for anything else
  float share = 0;
};

class WorldLooks {
 public:
  WorldLooks(const world::World& world, const Tokenizer& tokenizer);

  // The things of a scene told in words: each in the cell whose words say that its centre is there.
  std::vector<ThingInCell> ToldThings(const std::vector<std::vector<int>>& cells) const;
  // Those of a picture on a grid of grid x grid cells: each among the cells that its box covers, by the part
  // of the box in each. That is where a tower sees it; one counted in a single cell would, on the border
  // between two, count twice or not at all.
  std::vector<ThingInCell> SeenThings(const world::Scene& scene, int grid) const;

  // Adds these looks to a sample about these cells (see WorldText::Cells).
  void Add(const std::vector<std::vector<int>>& cells, const std::vector<ThingInCell>& things,
           TokenSample& sample) const;

 private:
  enum class Tallied { kAsked, kAll, kOthers };

  // Places of the cells that hold what the token names; the first cell's place is `first`.
  std::vector<int> PlacesOf(int id, const std::vector<std::vector<int>>& cells, int first) const;
  // Whether the sample asks for the number of what is named at this token.
  bool AsksNumberAt(const TokenSample& sample, int token) const;
  // The look from `token`, which asks for things called `word`, that counts these.
  TokenLook Tally(Tallied tallied, const std::vector<ThingInCell>& things, int first, int token,
                  int word) const;

  int centre_;  // the word that marks the cell with a thing's centre
  int it_;
  int many_, count_;                    // "How many dogs", "Count the dogs"
  std::vector<int> object_words_;       // of world::Objects()
  std::unordered_map<int, int> named_;  // word in a question -> the word of the cells it names
  std::unordered_set<int> objects_;     // the words for objects
};

}  // namespace mobilevlm::train
