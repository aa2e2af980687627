#include "text/tokenizer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/utf8.h"
#include "text/bpe_merge.h"
#include "text/stream_decoder.h"

namespace mobilevlm {
namespace {

constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";       // U+2581, what a space becomes
constexpr std::string_view kUnknownSurface = " \xE2\x81\x87 ";  // " ⁇ ", what libsentencepiece prints

// "<0x0A>" -> 10.
std::optional<int> ParseBytePiece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + (c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + (c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

std::string WithSpaces(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    const bool is_space = piece.starts_with(kSpaceSymbol);
    text += is_space ? ' ' : piece.front();
    piece.remove_prefix(is_space ? kSpaceSymbol.size() : 1);
  }
  return text;
}

// SentencePiece's identity normaliser: the dummy prefix, spaces as U+2581, malformed bytes as U+FFFD.
std::string Normalise(std::string_view text, bool add_dummy_prefix) {
  std::string out;
  out.reserve(text.size() + text.size() / 2 + kSpaceSymbol.size());
  if (add_dummy_prefix) out += kSpaceSymbol;
  while (!text.empty()) {
    const size_t length = ValidUtf8Prefix(text);
    if (length == 0) {
      out += kReplacementCharacter;
    } else if (text.front() == ' ') {
      out += kSpaceSymbol;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

Status CheckSpecialId(const TokenizerVocab& vocab, const char* name, int id, PieceType wanted) {
  if (id < 0 || static_cast<size_t>(id) >= vocab.pieces.size()) {
    return Fail("tokenizer: the {} id {} is not in the vocabulary of {} pieces", name, id,
                vocab.pieces.size());
  }
  if (vocab.types[static_cast<size_t>(id)] != wanted) {
    return Fail("tokenizer: the {} piece (id {}) has type {}, wanted {}", name, id,
                static_cast<int>(vocab.types[static_cast<size_t>(id)]), static_cast<int>(wanted));
  }
  return {};
}

}  // namespace

Tokenizer::Tokenizer(TokenizerVocab vocab) : vocab_(std::move(vocab)) { byte_id_.fill(-1); }

Result<Tokenizer> Tokenizer::Create(TokenizerVocab vocab) {
  const size_t count = vocab.pieces.size();
  if (vocab.scores.size() != count || vocab.types.size() != count) {
    return Fail("tokenizer: {} pieces, but {} scores and {} types", count, vocab.scores.size(),
                vocab.types.size());
  }
  if (count > (1u << 24)) return Fail("tokenizer: {} pieces are too many", count);
  MVLM_TRY(CheckSpecialId(vocab, "bos", vocab.bos, PieceType::kControl));
  MVLM_TRY(CheckSpecialId(vocab, "eos", vocab.eos, PieceType::kControl));
  MVLM_TRY(CheckSpecialId(vocab, "unk", vocab.unk, PieceType::kUnknown));
  Tokenizer tokenizer(std::move(vocab));
  MVLM_TRY(tokenizer.Index());
  return tokenizer;
}

// Fills text_, by_piece_ and byte_id_ from vocab_.
Status Tokenizer::Index() {
  text_.resize(vocab_.pieces.size());
  for (size_t i = 0; i < vocab_.pieces.size(); ++i) {
    const std::string& piece = vocab_.pieces[i];
    const int id = static_cast<int>(i);
    if (std::isnan(vocab_.scores[i])) return Fail("tokenizer: the score of piece {} is not a number", i);
    if (piece.empty()) return Fail("tokenizer: piece {} is empty", i);
    if (!IsValidUtf8(piece)) return Fail("tokenizer: piece {} is not valid UTF-8", i);
    switch (vocab_.types[i]) {
      case PieceType::kUserDefined:
        longest_user_defined_ = std::max(longest_user_defined_, piece.size());
        [[fallthrough]];
      case PieceType::kNormal:
      case PieceType::kUnused:
        if (!by_piece_.emplace(piece, id).second) {
          return Fail("tokenizer: piece {} \"{}\" is there twice", i, piece);
        }
        longest_piece_ = std::max(longest_piece_, piece.size());
        text_[i] = WithSpaces(piece);
        break;
      case PieceType::kUnknown:
        text_[i] = kUnknownSurface;
        break;
      case PieceType::kControl:
        break;
      case PieceType::kByte: {
        const std::optional<int> byte = ParseBytePiece(piece);
        if (!byte) return Fail("tokenizer: byte piece {} is \"{}\", wanted <0x00> to <0xFF>", i, piece);
        if (byte_id_[static_cast<size_t>(*byte)] != -1) {
          return Fail("tokenizer: byte piece {} \"{}\" is there twice", i, piece);
        }
        byte_id_[static_cast<size_t>(*byte)] = id;
        text_[i] = static_cast<char>(*byte);
        break;
      }
      default:
        return Fail("tokenizer: piece {} has the unknown type {}", i, static_cast<int>(vocab_.types[i]));
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (byte_id_[static_cast<size_t>(byte)] == -1) {
      return Fail("tokenizer: byte piece <0x{:02X}> is missing (byte fallback needs all 256)", byte);
    }
  }
  return {};
}

// Bytes of the longest user-defined piece that `text` starts with, 0 if none.
size_t Tokenizer::UserDefinedPrefix(std::string_view text) const {
  for (size_t size = std::min(longest_user_defined_, text.size()); size > 0; --size) {
    const auto found = by_piece_.find(text.substr(0, size));
    if (found != by_piece_.end() && Type(found->second) == PieceType::kUserDefined) return size;
  }
  return 0;
}

std::vector<int> Tokenizer::Encode(std::string_view text) const {
  std::vector<int> ids;
  if (text.empty()) return ids;
  const std::string normalised = Normalise(text, vocab_.add_dummy_prefix);

  std::vector<MergeSymbol> symbols;
  symbols.reserve(normalised.size());
  for (std::string_view rest = normalised; !rest.empty();) {
    const size_t user_defined = UserDefinedPrefix(rest);
    const size_t size = user_defined > 0 ? user_defined : ValidUtf8Prefix(rest);
    MVLM_CHECK(size > 0);
    symbols.push_back({rest.substr(0, size), user_defined > 0});
    rest.remove_prefix(size);
  }

  const MergeTable table{by_piece_, vocab_, longest_piece_};
  for (const std::string_view piece : MergeSymbols(table, symbols)) {
    const auto found = by_piece_.find(piece);
    if (found != by_piece_.end()) {
      ids.push_back(found->second);
    } else {
      for (const char c : piece) ids.push_back(byte_id_[static_cast<unsigned char>(c)]);
    }
  }
  return ids;
}

std::string Tokenizer::Decode(const std::vector<int>& ids) const {
  StreamDecoder decoder(*this);
  std::string text;
  for (const int id : ids) text += decoder.Push(id);
  return text += decoder.Finish();
}

const std::string& Tokenizer::PieceText(int id) const {
  MVLM_CHECK(id >= 0 && id < size(), "id {} of {} pieces", id, size());
  return text_[static_cast<size_t>(id)];
}

PieceType Tokenizer::Type(int id) const {
  MVLM_CHECK(id >= 0 && id < size(), "id {} of {} pieces", id, size());
  return vocab_.types[static_cast<size_t>(id)];
}

}  // namespace mobilevlm
