// Where attention should look in samples about scenes of the mini world.
//
// The generator of the scenes knows where an answer lies, and the paths that lead there are hard to find from
// yes and no alone (supervised attention: Liu et al., "Neural Machine Translation with Supervised Attention",
// 2016). Layers and heads count from 0; what a smaller decoder does not have is not taught.
//
// | layer | head | from                          | to |
// |-------|------|-------------------------------|-----------------------------------------------------------|
// | 0     | 0    | a word that cells can hold    | the cells that hold it, or BOS if none does; "it": every |
// |       |      |                               | object | | 1     | 0    | where the answer begins       |
// those words of the question                               | | 2     | 0    | before such a word of the |
// the cells that hold it                                    | |       |      | answer | | | 1     | 1    |
// what is to be counted         | divided evenly among its things and BOS                   | | 1     | 2 |
// the same                      | divided among all things and BOS                          | | 1     | 3 |
// the same                      | divided among the other things and BOS                    | | 2     | 1 |
// before the number             | what is to be counted                                     |
//
// A thing is looked at in the cell that holds its centre. Attention is an average, which forgets how many
// there are; what is left for BOS, which weighs as much as a few things, tells. Counting what is asked for
// needs the same attention to 180 different objects; counting all things does not, and the others are few, so
// the three say it more surely than the first alone. They stand in the second layer because the sums of words
// in a cell differ in length, which the first layer can even out.
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

class WorldLooks {
 public:
  WorldLooks(const world::World& world, const Tokenizer& tokenizer);

  // Adds the looks of the table to a sample about these cells (see WorldText::Cells).
  void Add(const std::vector<std::vector<int>>& cells, TokenSample& sample) const;

 private:
  enum class Tallied { kAsked, kAll, kOthers };

  // Places of the cells that hold what the token names; the first cell's place is `first`.
  std::vector<int> PlacesOf(int id, const std::vector<std::vector<int>>& cells, int first) const;
  // Whether the sample asks for the number of what is named at this token.
  bool AsksNumberAt(const TokenSample& sample, int token) const;
  // The look from `token`, which asks for things called `word`, that counts these.
  TokenLook Tally(Tallied tallied, const std::vector<std::vector<int>>& cells, int first, int token,
                  int word) const;

  int centre_;  // the word that marks the cell with a thing's centre
  int it_;
  int many_, count_;                    // "How many dogs", "Count the dogs"
  std::unordered_map<int, int> named_;  // word in a question -> the word of the cells it names
  std::unordered_set<int> objects_;     // the words for objects
};

}  // namespace mobilevlm::train
