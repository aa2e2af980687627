// SentencePiece BPE with byte fallback, as LLaMA uses it: identical ids to libsentencepiece.
//
// Text gets a dummy prefix space, spaces become U+2581, pieces merge greedily by score, and a character
// without a piece falls back to its UTF-8 bytes. Special tokens are never parsed from text: "</s>" typed
// by a user becomes ordinary pieces. Encoding n bytes takes O(n log n).
//
// Thread contract: immutable after construction; concurrent calls are fine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace mobilevlm {

// The values of tokenizer.ggml.token_type in GGUF files; SentencePiece's ModelProto uses the same.
enum class PieceType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// A vocabulary as files hold it; the three vectors have one entry per id.
struct TokenizerVocab {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<PieceType> types;
  int bos = 1;
  int eos = 2;
  int unk = 0;
  bool add_dummy_prefix = true;
};

class Tokenizer {
 public:
  // An Error if lengths disagree, ids are out of range, or byte pieces are missing or malformed.
  static Result<Tokenizer> Create(TokenizerVocab vocab);

  Tokenizer(Tokenizer&&) = default;
  Tokenizer& operator=(Tokenizer&&) = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ids without BOS; none for empty text. A byte that is not part of valid UTF-8 is read as U+FFFD.
  std::vector<int> Encode(std::string_view text) const;

  // The whole text of ids (control pieces print nothing), the dummy prefix space removed. Always valid
  // UTF-8: a byte piece that completes no character prints U+FFFD. The ids must be below size().
  std::string Decode(const std::vector<int>& ids) const;

  // The bytes that one id stands for, U+2581 already a space; empty for control ids.
  const std::string& PieceText(int id) const;
  PieceType Type(int id) const;

  int size() const { return static_cast<int>(vocab_.pieces.size()); }
  int bos() const { return vocab_.bos; }
  int eos() const { return vocab_.eos; }
  const TokenizerVocab& vocab() const { return vocab_; }

 private:
  explicit Tokenizer(TokenizerVocab vocab);

  Status Index();
  size_t UserDefinedPrefix(std::string_view text) const;

  TokenizerVocab vocab_;
  std::vector<std::string> text_;  // PieceText of every id
  // The pieces that merging may form (normal, user-defined, unused), as views into vocab_.pieces, which a
  // move leaves where they are and a copy would not.
  std::unordered_map<std::string_view, int> by_piece_;
  size_t longest_piece_ = 0;         // bytes
  size_t longest_user_defined_ = 0;  // bytes; 0: there are none
  std::array<int, 256> byte_id_;
};

// Reads SentencePiece's tokenizer.model (a protobuf ModelProto); hostile bytes give an Error. Only BPE
// models with byte fallback and the identity normaliser are accepted.
Result<TokenizerVocab> ParseSentencePieceModel(std::string_view bytes);

}  // namespace mobilevlm
