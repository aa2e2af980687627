// Our tokenizer equals libsentencepiece: ids and decoded text, on the golden cases and on random strings.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/read_file.h"
#include "base/utf8.h"
#include "text/sentencepiece_writer.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace mobilevlm {
namespace {

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/tokenizer/";

class SentencePieceOracle : public testing::Test {
 protected:
  static Tokenizer Load() {
    const auto bytes = ReadFile(kGolden + "tokenizer.model", 1 << 24);
    EXPECT_TRUE(bytes);
    auto vocab = ParseSentencePieceModel(*bytes);
    EXPECT_TRUE(vocab);
    auto tokenizer = Tokenizer::Create(*std::move(vocab));
    EXPECT_TRUE(tokenizer);
    return *std::move(tokenizer);
  }

  void SetUp() override { ASSERT_TRUE(oracle_.Load(kGolden + "tokenizer.model").ok()); }

  void ExpectEqual(const std::string& text) {
    std::vector<int> wanted;
    ASSERT_TRUE(oracle_.Encode(text, &wanted).ok());
    ASSERT_EQ(ours_.Encode(text), wanted) << testing::PrintToString(text);
    ExpectEqualDecode(wanted);
  }

  void ExpectEqualDecode(const std::vector<int>& ids) {
    std::string wanted;
    ASSERT_TRUE(oracle_.Decode(ids, &wanted).ok());
    ASSERT_EQ(ours_.Decode(ids), wanted) << testing::PrintToString(ids);
    StreamDecoder decoder(ours_);
    std::string streamed;
    for (const int id : ids) {
      const std::string part = decoder.Push(id);
      ASSERT_TRUE(IsValidUtf8(part));
      streamed += part;
    }
    ASSERT_EQ(streamed + decoder.Finish(), wanted) << testing::PrintToString(ids);
  }

  sentencepiece::SentencePieceProcessor oracle_;
  Tokenizer ours_ = Load();
};

std::string Utf8(uint32_t code_point) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F)); };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0 | code_point >> 6), tail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xE0 | code_point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code_point >> 18), tail(12), tail(6), tail(0)};
}

// Mixes what makes tokenizers disagree; surrogates and bytes that are no UTF-8 are among it.
std::string RandomText(Random& random, const Tokenizer& tokenizer) {
  std::string text;
  for (int parts = random.Between(0, 24); parts > 0; --parts) {
    switch (random.Below(9)) {
      case 0:
        text += std::string(static_cast<size_t>(random.Between(1, 4)), ' ');
        break;
      case 1:
        text += static_cast<char>(random.Below(256));
        break;
      case 2:
        text += Utf8(static_cast<uint32_t>(random.Below(0x110000)));
        break;
      case 3:
        text += Utf8(static_cast<uint32_t>(random.Between(0x1F300, 0x1FAFF)));  // emoji
        break;
      case 4:
        text += static_cast<char>(random.Below(32));
        break;
      case 5:
        text += random.Chance(0.5) ? "\xE2\x96\x81" : "\xEF\xBF\xBD";
        break;
      case 6:
        text +=
            std::vector<std::string>{"</s>", "<s>", "<unk>", "<0x0A>", "<image>", "\r\n"}[random.Below(6)];
        break;
      default: {
        const auto& piece = tokenizer.vocab().pieces[random.Below(tokenizer.vocab().pieces.size())];
        text += piece.substr(random.Chance(0.2) ? random.Below(piece.size()) : 0);
      }
    }
  }
  return text;
}

TEST_F(SentencePieceOracle, GoldenCases) {
  const auto bytes = ReadFile(kGolden + "tokenizer_cases.json", 1 << 24);
  ASSERT_TRUE(bytes);
  const auto cases = nlohmann::json::parse(*bytes);
  ASSERT_EQ(cases.size(), 19u);
  for (const auto& item : cases) ExpectEqual(item["text"].get<std::string>());
}

TEST_F(SentencePieceOracle, RandomStrings) {
  Random random(20240206);
  for (int i = 0; i < 10000 && !HasFatalFailure(); ++i) ExpectEqual(RandomText(random, ours_));
}

// What is written from a vocabulary is the same model to libsentencepiece.
TEST_F(SentencePieceOracle, ReadsWhatIsWritten) {
  ASSERT_TRUE(oracle_.LoadFromSerializedProto(SentencePieceModel(ours_.vocab())).ok());
  EXPECT_EQ(oracle_.GetPieceSize(), ours_.size());
  EXPECT_EQ(oracle_.bos_id(), ours_.bos());
  EXPECT_EQ(oracle_.eos_id(), ours_.eos());
  Random random(11);
  for (int i = 0; i < 1000 && !HasFatalFailure(); ++i) ExpectEqual(RandomText(random, ours_));
}

TEST_F(SentencePieceOracle, LongStrings) {
  Random random(7);
  for (int i = 0; i < 5 && !HasFatalFailure(); ++i) {
    std::string text;
    while (text.size() < 50000) text += RandomText(random, ours_);
    ExpectEqual(text);
  }
}

TEST_F(SentencePieceOracle, RandomIdsDecode) {
  Random random(3);
  for (int i = 0; i < 10000 && !HasFatalFailure(); ++i) {
    std::vector<int> ids(random.Below(16));
    for (int& id : ids) id = static_cast<int>(random.Below(random.Chance(0.5) ? 260 : 768));
    ExpectEqualDecode(ids);
  }
}

}  // namespace
}  // namespace mobilevlm
