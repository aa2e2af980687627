// Token sequences with picture places and labels, padded into batches.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/content_hash.h"
#include "base/result.h"
#include "prompt/assemble.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {

// Which tokens one head of a layer should look at from one token, known to whoever made the sample.
struct TokenLook {
  int layer = 0;
  int head = 0;
  int token = 0;
  std::vector<int> wanted = {};    // tokens before it
  std::vector<float> shares = {};  // of the attention, one of each wanted token, 1 in all; none: in any way
};

// One sequence with the pictures' places already opened: `visual` of them from each image start on, id 0
// there.
struct TokenSample {
  std::vector<int> ids = {};
  std::vector<uint8_t> supervised = {};  // 1: the loss counts this id
  std::vector<int> image_starts = {};    // none: no picture
  // Of samples that hold several rounds side by side: which round each id belongs to, from 1; 0 is what all
  // of them see. A round sees the zeros before it and itself, and its places continue behind the zeros, so
  // that each is a conversation of one round and they share the work on the picture. Empty: one conversation.
  std::vector<int> rounds = {};
  std::vector<TokenLook> looks = {};
};

// Assembles the turns and opens `visual` places at each picture.
Result<TokenSample> MakeTokenSample(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                    const std::vector<Turn>& turns, int visual);

// Puts the rounds of several samples side by side; all begin with the same `shared` ids.
TokenSample SideBySide(std::span<const TokenSample> samples, size_t shared);

// Tokens of a batch whose longest sample has so many: rounded up to a multiple of 16. oneDNN compiles a
// kernel for every shape it meets and keeps a limited number of them; with every length a shape of its own,
// most steps would wait for the compiler.
int64_t PaddedLength(int64_t tokens);

// Padded on the right with id 0; a causal decoder never looks there.
struct TokenBatch {
  int64_t batch = 0;
  int64_t tokens = 0;         // PaddedLength of the longest sample
  int64_t used = 0;           // ids of all samples, padding not counted
  torch::Tensor ids;          // [batch * tokens], int64
  torch::Tensor positions;    // [batch * tokens] places of the ids, int64, or undefined: their index
  torch::Tensor mask;         // [batch, tokens, tokens] added to the scores, or undefined: causal
  torch::Tensor image_rows;   // [visual tokens of all samples] rows that pictures take, int64
  torch::Tensor source_rows;  // [supervised] the row before each supervised id: it predicts the id
  torch::Tensor targets;      // [supervised] the ids
  std::vector<int> samples;   // [supervised] which sample each belongs to
  std::map<int, std::vector<Looks>> looks;  // of the layers that have any
};
TokenBatch Collate(std::span<const TokenSample> samples, int visual);

// What one forward pass of the language model sees: text, and features of pictures or, while the model is
// pre-trained without pictures, the words of each cell; align has both.
struct MicroBatch {
  TokenBatch text;
  torch::Tensor pixels;        // [pictures, 3, side, side] for a tower to make features of, or undefined
  std::vector<Hash128> keys;   // of the pixels' pictures, if their features are kept (picture_features.h)
  torch::Tensor features;      // [pictures, patches, vision hidden], or undefined
  torch::Tensor cell_ids;      // [words of all cells], int64, or undefined
  torch::Tensor cell_offsets;  // [batch * visual] first word of each cell, int64
};

}  // namespace mobilevlm::train
