// The mini model's vocabulary: SentencePiece BPE with byte fallback, trained on the world's text by the
// external program spm_train (Debian package "sentencepiece"; the library itself cannot share a process
// with libtorch).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"
#include "world/world.h"

namespace mobilevlm::train {

struct TokenizerOptions {
  int vocabulary = 2048;  // upper limit; the world may have fewer pieces to offer
  int scenes = 4000;      // whose questions, answers and captions make the corpus
  uint64_t seed = 1;
};

// Lines to train on. Runs of capitals and digits are spread out, so that characters to be read stay
// single pieces, and every vocabulary word comes often enough to become one piece.
std::vector<std::string> TokenizerCorpus(const world::World& world, const TokenizerOptions& options);

// Writes directory + "/tokenizer.model" unless it exists (spm_train's own words go to tokenizer.log).
Result<Tokenizer> TrainTokenizer(const world::World& world, const TokenizerOptions& options,
                                 const std::string& directory);

Result<Tokenizer> LoadTokenizer(const std::string& path);

// The words (objects, shapes, colours, letters, "centre") that take more than one piece after a space.
// Digits always do (split_digits) and are not reported.
std::vector<std::string> SplitWords(const world::World& world, const Tokenizer& tokenizer);

}  // namespace mobilevlm::train
