#include "synth/vocabulary.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, SentencePiece's space
constexpr std::string_view kLetters = "etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ";
constexpr size_t kLowerCase = 26;

// The system text, the roles and the words that questions about pictures are made of.
constexpr std::string_view kWords[] = {
    "A",          "chat",         "between",   "a",         "curious", "user",     "and",      "an",
    "artificial", "intelligence", "assistant", "The",       "gives",   "helpful",  "detailed", "polite",
    "answers",    "to",           "the",       "questions", "US",      "ASS",      "What",     "is",
    "in",         "this",         "picture",   "image",     "photo",   "Describe", "How",      "many",
    "Who",        "Where",        "Which",     "color",     "are",     "there",    "of",       "on",
    "it",         "Answer",       "question",  "using",     "single",  "word",     "or",       "phrase",
    "with",       "does",         "text",      "say",       "name",    "people",   "left",     "right",
    "see",        "you",          "author",    "book",      "for",     "that",     "was",
};

class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(size_t size) : size_(size) {}

  void Special(std::string piece, PieceType type) { Append(std::move(piece), type, 0); }

  // Kept for the end, but known from now on.
  void Single(std::string piece) {
    if (known_.insert(piece).second) singles_.push_back(std::move(piece));
  }

  // A piece that two known pieces merge into. Ignored once all places but those of the singles are taken.
  void Merged(std::string piece) {
    if (vocab_.pieces.size() + singles_.size() >= size_ || !known_.insert(piece).second) return;
    Append(std::move(piece), PieceType::kNormal, NextScore());
  }

  TokenizerVocab Finish() {
    for (std::string& piece : singles_) Append(std::move(piece), PieceType::kNormal, NextScore());
    // More rows than the rules have pieces for: padding, as in embedding tables that were rounded up.
    while (vocab_.pieces.size() < size_) {
      Append(fmt::format("<pad{}>", vocab_.pieces.size()), PieceType::kUnused, 0);
    }
    MVLM_CHECK(vocab_.pieces.size() == size_, "a vocabulary of {} holds {} fixed pieces", size_,
               vocab_.pieces.size());
    return std::move(vocab_);
  }

 private:
  void Append(std::string piece, PieceType type, float score) {
    vocab_.pieces.push_back(std::move(piece));
    vocab_.types.push_back(type);
    vocab_.scores.push_back(score);
  }
  float NextScore() { return -static_cast<float>(merges_++); }

  size_t size_;
  int merges_ = 0;
  TokenizerVocab vocab_;
  std::unordered_set<std::string> known_;
  std::vector<std::string> singles_;
};

std::string Utf8Latin(int code) {  // U+0080 .. U+07FF
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

void AddSingles(VocabularyBuilder& builder) {
  builder.Single(std::string(kSpace));
  for (char c = '!'; c <= '~'; ++c) builder.Single(std::string(1, c));
  for (int code = 0xA1; code <= 0xFF; ++code) builder.Single(Utf8Latin(code));
}

// Left to right, so that every prefix is a piece: "▁", "▁c", "▁ch", ... These outrank all other merges, and
// a word therefore always becomes one piece.
void AddWords(VocabularyBuilder& builder) {
  for (const std::string_view word : kWords) {
    for (size_t length = 1; length <= word.size(); ++length) {
      builder.Merged(fmt::format("{}{}", kSpace, word.substr(0, length)));
    }
  }
}

// Groups of one to three letters with and without a space before them, the frequent letters first.
void AddGroups(VocabularyBuilder& builder) {
  const std::string_view lower = kLetters.substr(0, kLowerCase);
  for (const char a : lower) {
    for (const char b : lower) builder.Merged({a, b});
  }
  for (const char a : kLetters) builder.Merged(fmt::format("{}{}", kSpace, a));
  for (const char a : kLetters) {
    for (const char b : lower) builder.Merged(fmt::format("{}{}{}", kSpace, a, b));
  }
  for (const char a : lower) {
    for (const char b : lower) {
      for (const char c : lower) {
        builder.Merged({a, b, c});
        builder.Merged(fmt::format("{}{}{}{}", kSpace, a, b, c));
      }
    }
  }
}

}  // namespace

TokenizerVocab SyntheticVocabulary(int size) {
  VocabularyBuilder builder(static_cast<size_t>(size));
  builder.Special("<unk>", PieceType::kUnknown);
  builder.Special("<s>", PieceType::kControl);
  builder.Special("</s>", PieceType::kControl);
  for (int byte = 0; byte < 256; ++byte) builder.Special(fmt::format("<0x{:02X}>", byte), PieceType::kByte);
  AddSingles(builder);
  AddWords(builder);
  AddGroups(builder);
  return builder.Finish();
}

}  // namespace mobilevlm
