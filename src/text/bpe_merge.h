// The merge loop of SentencePiece's BPE model (Sennrich et al., arXiv 1508.07909, with scores in place of
// a merge list): the text starts as single characters, and the adjacent pair whose concatenation is the
// piece with the highest score, the leftmost at equal score, is joined until no pair makes a piece.
//
// A linked list of symbols and a heap of candidate pairs give O(n log n) for n characters.
#pragma once

#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace mobilevlm {

// What merging needs to know of a vocabulary; the referenced objects must outlive the call.
struct MergeTable {
  const std::unordered_map<std::string_view, int>& by_piece;
  const TokenizerVocab& vocab;
  size_t longest_piece;  // bytes
};

struct MergeSymbol {
  std::string_view text;
  bool frozen = false;  // a user-defined piece: never merged further
};

// What remains of `symbols` after all merges, in order. They must be adjacent views into one buffer. A
// piece of type kUnused may form on the way to a longer one, but is taken apart again if it is left over.
std::vector<std::string_view> MergeSymbols(const MergeTable& table, const std::vector<MergeSymbol>& symbols);

}  // namespace mobilevlm
