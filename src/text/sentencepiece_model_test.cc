#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "base/random.h"
#include "base/read_file.h"
#include "text/tokenizer.h"

namespace mobilevlm {
namespace {

using testing::HasSubstr;

// A minimal protobuf writer, independent of the reader under test.
std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out += static_cast<char>(value);
}
std::string Number(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}
std::string Bytes(int field, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(bytes.size()) + bytes;
}
std::string Float(int field, float value) {
  std::string out = Varint(static_cast<uint64_t>(field) << 3 | 5);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int i = 0; i < 4; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

const std::string kPiece = Bytes(1, Bytes(1, "ab") + Float(2, -1.5f));
const std::string kTrainer = Bytes(2, Number(3, 2) + Number(35, 1));
const std::string kNormalizer = Bytes(3, Bytes(1, "identity") + Number(4, 0));

std::string Outcome(const std::string& model) {
  const Result<TokenizerVocab> vocab = ParseSentencePieceModel(model);
  return vocab ? "accepted" : vocab.error().message;
}

TEST(SentencePieceModel, ReadsTheGoldenModel) {
  const auto bytes = ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/tokenizer/tokenizer.model", 1 << 24);
  ASSERT_TRUE(bytes);
  const auto vocab = ParseSentencePieceModel(*bytes);
  ASSERT_TRUE(vocab) << vocab.error().message;
  EXPECT_EQ(vocab->pieces.size(), 768u);
  EXPECT_EQ(vocab->pieces[2], "</s>");
  EXPECT_EQ(vocab->types[0], PieceType::kUnknown);
  EXPECT_EQ(vocab->types[3], PieceType::kByte);
  EXPECT_EQ(vocab->pieces[446],
            "\xE2\x96\x81"
            "A");
  EXPECT_TRUE(vocab->add_dummy_prefix);
}

TEST(SentencePieceModel, ReadsEveryFieldThatMatters) {
  const std::string trainer = Bytes(2, Number(3, 2) + Number(35, 1) + Number(40, 5) + Number(41, 6) +
                                           Number(42, 7) + Float(10, 0.9995f) + Bytes(2, "prefix"));
  const std::string normalizer = Bytes(3, Number(4, 0) + Number(3, 0));
  const auto vocab =
      ParseSentencePieceModel(kPiece + Bytes(1, Bytes(1, "x") + Number(3, 6)) + trainer + normalizer);
  ASSERT_TRUE(vocab) << vocab.error().message;
  EXPECT_THAT(vocab->pieces, testing::ElementsAre("ab", "x"));
  EXPECT_THAT(vocab->scores, testing::ElementsAre(-1.5f, 0.0f));
  EXPECT_THAT(vocab->types, testing::ElementsAre(PieceType::kNormal, PieceType::kByte));
  EXPECT_EQ(vocab->unk, 5);
  EXPECT_EQ(vocab->bos, 6);
  EXPECT_EQ(vocab->eos, 7);
  EXPECT_FALSE(vocab->add_dummy_prefix);
}

TEST(SentencePieceModel, RefusesSettingsThatItDoesNotImplement) {
  EXPECT_EQ(Outcome(kPiece + kTrainer + kNormalizer), "accepted");
  EXPECT_THAT(Outcome(kPiece + Bytes(2, Number(35, 1)) + kNormalizer), HasSubstr("model_type is 1"));
  EXPECT_THAT(Outcome(kPiece + Bytes(2, Number(3, 2)) + kNormalizer), HasSubstr("byte_fallback"));
  EXPECT_THAT(Outcome(kPiece + kTrainer), HasSubstr("remove_extra_whitespaces"));
  EXPECT_THAT(Outcome(kPiece + kTrainer + Bytes(3, Bytes(1, "nmt_nfkc") + Bytes(2, "xx") + Number(4, 0))),
              HasSubstr("normalizer \"nmt_nfkc\" has rules"));
  EXPECT_THAT(Outcome(kPiece + kTrainer + Bytes(3, Number(4, 0) + Number(5, 0))),
              HasSubstr("escape_whitespaces"));
  EXPECT_THAT(Outcome(kPiece + kTrainer + kNormalizer + Bytes(5, Bytes(2, "x"))), HasSubstr("denormalizer"));
  EXPECT_THAT(Outcome(kPiece + Bytes(2, Number(3, 2) + Number(35, 1) + Number(24, 1)) + kNormalizer),
              HasSubstr("treat_whitespace_as_suffix"));
  EXPECT_THAT(
      Outcome(kPiece + Bytes(2, Number(3, 2) + Number(35, 1) + Number(41, ~uint64_t{0})) + kNormalizer),
      HasSubstr("bos_id is -1"));
  EXPECT_THAT(Outcome(Bytes(1, Bytes(1, "x") + Number(3, 9)) + kTrainer + kNormalizer), HasSubstr("type 9"));
  EXPECT_THAT(Outcome(""), HasSubstr("no pieces"));
}

TEST(SentencePieceModel, RefusesMalformedBytes) {
  EXPECT_THAT(Outcome("\x80"), HasSubstr("in the middle of a number"));
  EXPECT_THAT(Outcome(std::string(11, '\xFF')), HasSubstr("longer than 10 bytes"));
  EXPECT_THAT(Outcome(std::string("\x0A\x05"
                                  "ab",
                                  4)),
              HasSubstr("wants 5 bytes, 2 are left"));
  EXPECT_THAT(Outcome(Varint(1 << 3 | 2) + Varint(~uint64_t{0})), HasSubstr("wants 18446744073709551615"));
  EXPECT_THAT(Outcome("\x0B"), HasSubstr("wire type 3"));
  EXPECT_THAT(Outcome(Number(1, 5)), HasSubstr("wanted 2"));
  EXPECT_THAT(Outcome(Bytes(1, Float(1, 0))), HasSubstr("field 1 (piece)"));
  EXPECT_THAT(Outcome(std::string(1, '\0')), HasSubstr("field number 0"));
}

TEST(SentencePieceModel, SurvivesTruncationAndRandomDamage) {
  const auto bytes = ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/tokenizer/tokenizer.model", 1 << 24);
  ASSERT_TRUE(bytes);
  for (size_t size = 0; size < bytes->size(); size += 61) Outcome(bytes->substr(0, size));
  Random random(1);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = *bytes;
    for (int i = 0; i < 20; ++i) damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    const auto vocab = ParseSentencePieceModel(damaged);
    refused += !vocab || !Tokenizer::Create(*vocab);
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace mobilevlm
