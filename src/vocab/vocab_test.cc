// A vocabulary through a GGUF file and back.
#include <gtest/gtest.h>

#include <filesystem>

#include "gguf/writer.h"
#include "vocab/read_vocab.h"
#include "vocab/write_vocab.h"

namespace mobilevlm {
namespace {

TokenizerVocab ThroughAFile(const TokenizerVocab& vocab) {
  const std::string path = (std::filesystem::temp_directory_path() / "mobilevlm_vocab_test.gguf").string();
  GgufWriter writer;
  WriteVocab(writer, vocab);
  EXPECT_TRUE(writer.Write(path));
  const auto file = GgufFile::Open(path);
  EXPECT_TRUE(file);
  auto read = ReadVocab(*file);
  EXPECT_TRUE(read) << read.error().message;
  std::filesystem::remove(path);
  return read.value_or(TokenizerVocab());
}

TEST(Vocab, SurvivesAFile) {
  TokenizerVocab vocab;
  vocab.pieces = {"<unk>", "<s>", "</s>", "a", "\xE2\x96\x81"};
  vocab.scores = {0, 0, 0, -1, -2.5f};
  vocab.types = {PieceType::kUnknown, PieceType::kControl, PieceType::kControl, PieceType::kNormal,
                 PieceType::kNormal};
  for (const bool prefix : {true, false}) {
    vocab.add_dummy_prefix = prefix;
    const TokenizerVocab read = ThroughAFile(vocab);
    EXPECT_EQ(read.pieces, vocab.pieces);
    EXPECT_EQ(read.scores, vocab.scores);
    EXPECT_EQ(read.types, vocab.types);
    EXPECT_EQ(read.bos, vocab.bos);
    EXPECT_EQ(read.eos, vocab.eos);
    EXPECT_EQ(read.unk, vocab.unk);
    EXPECT_EQ(read.add_dummy_prefix, prefix);
  }
}

TEST(Vocab, PaddingIsTakenOffAgain) {
  TokenizerVocab vocab;
  vocab.pieces = {"<unk>", "a"};
  vocab.scores = {0, -1};
  vocab.types = {PieceType::kUnknown, PieceType::kNormal};
  PadVocab(vocab, 5);
  EXPECT_EQ(vocab.pieces.size(), 5u);
  EXPECT_EQ(vocab.types.back(), PieceType::kUnused);
  UnpadVocab(vocab);
  EXPECT_EQ(vocab.pieces, (std::vector<std::string>{"<unk>", "a"}));
  EXPECT_EQ(vocab.scores.size(), 2u);
}

}  // namespace
}  // namespace mobilevlm
