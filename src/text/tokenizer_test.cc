#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/read_file.h"
#include "base/sanitizer.h"
#include "base/utf8.h"
#include "text/stream_decoder.h"

namespace mobilevlm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kGolden = MOBILEVLM_SOURCE_DIR "/tests/golden/tokenizer/";

std::string GoldenFile(const std::string& name) {
  const Result<std::string> bytes = ReadFile(kGolden + name, 1 << 24);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes.value_or("");
}

Tokenizer GoldenTokenizer() {
  Result<TokenizerVocab> vocab = ParseSentencePieceModel(GoldenFile("tokenizer.model"));
  EXPECT_TRUE(vocab) << vocab.error().message;
  Result<Tokenizer> tokenizer = Tokenizer::Create(*std::move(vocab));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *std::move(tokenizer);
}

// unk, <s>, </s>, 256 byte pieces (id = 3 + byte), then the given pieces with falling scores from id 259.
TokenizerVocab SmallVocab(const std::vector<std::pair<std::string, PieceType>>& pieces) {
  TokenizerVocab vocab;
  const auto add = [&](std::string piece, PieceType type, float score) {
    vocab.pieces.push_back(std::move(piece));
    vocab.types.push_back(type);
    vocab.scores.push_back(score);
  };
  add("<unk>", PieceType::kUnknown, 0);
  add("<s>", PieceType::kControl, 0);
  add("</s>", PieceType::kControl, 0);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), PieceType::kByte, 0);
  for (const auto& [piece, type] : pieces) add(piece, type, -static_cast<float>(vocab.pieces.size()));
  return vocab;
}

TEST(Tokenizer, EqualsSentencePieceOnTheGoldenCases) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const auto cases = nlohmann::json::parse(GoldenFile("tokenizer_cases.json"));
  ASSERT_EQ(cases.size(), 19u);
  for (const auto& item : cases) {
    const auto text = item["text"].get<std::string>();
    const auto ids = item["ids"].get<std::vector<int>>();
    EXPECT_EQ(tokenizer.Encode(text), ids) << text;
    EXPECT_EQ(tokenizer.Decode(ids), item["decoded"].get<std::string>()) << text;
  }
}

TEST(Tokenizer, SpecialTokensTypedByAUserStayText) {
  const Tokenizer tokenizer = GoldenTokenizer();
  for (const char* typed : {"</s>", "<s>", "<unk>", "<0x41>", "a</s>b", "<pad>"}) {
    for (const int id : tokenizer.Encode(typed)) {
      EXPECT_NE(tokenizer.Type(id), PieceType::kControl) << typed;
      EXPECT_NE(tokenizer.Type(id), PieceType::kUnknown) << typed;
    }
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(typed)), typed);
  }
  EXPECT_EQ(tokenizer.Encode("<0x41>").size(), 7u);  // not the byte piece
}

TEST(Tokenizer, MalformedUtf8BecomesReplacementCharacters) {
  const Tokenizer tokenizer = GoldenTokenizer();
  const std::vector<std::pair<std::string, int>> cases = {
      {"\xFF", 1},             // never valid
      {"\x80", 1},             // stray continuation
      {"\xE4\xB8", 2},         // truncated
      {"\xC0\x80", 2},         // overlong
      {"\xED\xA0\x80", 3},     // a surrogate
      {"\xF4\x90\x80\x80", 4}  // beyond U+10FFFF
  };
  for (const auto& [text, marks] : cases) {
    std::string wanted;
    for (int i = 0; i < marks; ++i) wanted += kReplacementCharacter;
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), wanted) << testing::PrintToString(text);
  }
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(std::string("a\0b", 3))), std::string("a\0b", 3));
}

TEST(Tokenizer, HigherScoresMergeFirstAndTheLeftmostOfEquals) {
  TokenizerVocab vocab = SmallVocab({{"a", PieceType::kNormal},     // 259
                                     {"b", PieceType::kNormal},     // 260
                                     {"ab", PieceType::kNormal},    // 261
                                     {"ba", PieceType::kNormal},    // 262
                                     {"aa", PieceType::kNormal}});  // 263
  vocab.add_dummy_prefix = false;
  {
    const Result<Tokenizer> tokenizer = Tokenizer::Create(vocab);
    ASSERT_TRUE(tokenizer);
    EXPECT_THAT(tokenizer->Encode("bab"), ElementsAre(260, 261));
    EXPECT_THAT(tokenizer->Encode("aaa"), ElementsAre(263, 259));
  }
  vocab.scores[262] = 1;
  const Result<Tokenizer> tokenizer = Tokenizer::Create(vocab);
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->Encode("bab"), ElementsAre(262, 260));
}

TEST(Tokenizer, UserDefinedPiecesAreUnitsAndUnusedOnesAreTakenApart) {
  TokenizerVocab vocab = SmallVocab({{"a", PieceType::kNormal},            // 259
                                     {"b", PieceType::kNormal},            // 260
                                     {"ab", PieceType::kUnused},           // 261
                                     {"abc", PieceType::kNormal},          // 262
                                     {"c", PieceType::kNormal},            // 263
                                     {"aab", PieceType::kUserDefined},     // 264
                                     {"aabb", PieceType::kUserDefined}});  // 265
  vocab.add_dummy_prefix = false;
  const Result<Tokenizer> tokenizer = Tokenizer::Create(vocab);
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->Encode("ab"), ElementsAre(259, 260));
  EXPECT_THAT(tokenizer->Encode("abc"), ElementsAre(262));  // by way of the unused "ab"
  EXPECT_THAT(tokenizer->Encode("aabc"), ElementsAre(264, 263));
  EXPECT_THAT(tokenizer->Encode("aabbc"), ElementsAre(265, 263));
}

TEST(Tokenizer, RefusesImpossibleVocabularies) {
  const auto message = [](const TokenizerVocab& vocab) {
    const Result<Tokenizer> tokenizer = Tokenizer::Create(vocab);
    return tokenizer ? std::string("accepted") : tokenizer.error().message;
  };
  const TokenizerVocab good = SmallVocab({{"a", PieceType::kNormal}});
  EXPECT_EQ(message(good), "accepted");
  EXPECT_THAT(message({}), HasSubstr("bos id 1 is not in the vocabulary of 0 pieces"));

  const auto changed = [&](auto change) {
    TokenizerVocab vocab = good;
    change(vocab);
    return message(vocab);
  };
  EXPECT_THAT(changed([](auto& v) { v.scores.pop_back(); }), HasSubstr("260 pieces, but 259 scores"));
  EXPECT_THAT(changed([](auto& v) { v.eos = 260; }), HasSubstr("eos id 260"));
  EXPECT_THAT(changed([](auto& v) { v.bos = -1; }), HasSubstr("bos id -1"));
  EXPECT_THAT(changed([](auto& v) { v.eos = 259; }), HasSubstr("has type 1, wanted 3"));
  EXPECT_THAT(changed([](auto& v) { v.types[10] = PieceType::kNormal; }), HasSubstr("<0x07> is missing"));
  EXPECT_THAT(changed([](auto& v) { v.pieces[10] = "<0x0g>"; }), HasSubstr("\"<0x0g>\", wanted"));
  EXPECT_THAT(changed([](auto& v) { v.pieces[10] = "<0x08>"; }), HasSubstr("is there twice"));
  EXPECT_THAT(changed([](auto& v) { v.pieces[259] = "\xFF"; }), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(changed([](auto& v) { v.pieces[259] = ""; }), HasSubstr("is empty"));
  EXPECT_THAT(changed([](auto& v) { v.scores[259] = NAN; }), HasSubstr("not a number"));
  EXPECT_THAT(changed([](auto& v) { v.types[259] = static_cast<PieceType>(7); }), HasSubstr("type 7"));
  EXPECT_THAT(message(SmallVocab({{"a", PieceType::kNormal}, {"a", PieceType::kNormal}})),
              HasSubstr("is there twice"));
}

TEST(Tokenizer, OneMegabyteIsFast) {
  constexpr double kLimitSeconds = kAddressSanitizer ? 20 : 2;
  const Tokenizer tokenizer = GoldenTokenizer();
  std::string prose;
  while (prose.size() < 1 << 20) {
    prose += "Who is the author of this book? Answer using a single word, 3.14159 or 中文.\n";
  }
  for (const std::string& text : {prose, std::string(1 << 20, 'a'), std::string(1 << 20, ' ')}) {
    const std::clock_t start = std::clock();  // of this process: the machine may be busy with others
    const std::vector<int> ids = tokenizer.Encode(text);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kLimitSeconds);
    EXPECT_EQ(tokenizer.Decode(ids), text);
  }
}

TEST(StreamDecoder, NeverEndsInsideACharacterAndAddsUpToDecode) {
  const Tokenizer tokenizer = GoldenTokenizer();
  for (const std::string text : {"naïve 中文 🙂👍🏽 emoji", " two", "", "\n", "a\xFFz"}) {
    const std::vector<int> ids = tokenizer.Encode(text);
    StreamDecoder decoder(tokenizer);
    std::string all;
    for (const int id : ids) {
      const std::string part = decoder.Push(id);
      EXPECT_TRUE(IsValidUtf8(part));
      all += part;
    }
    EXPECT_EQ(decoder.Finish(), "");
    EXPECT_EQ(all, tokenizer.Decode(ids));
  }
}

TEST(StreamDecoder, HoldsBackUnfinishedCharacters) {
  const Result<Tokenizer> tokenizer = Tokenizer::Create(SmallVocab({{"a", PieceType::kNormal}}));
  ASSERT_TRUE(tokenizer);
  const auto byte = [](int value) { return 3 + value; };
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(byte(0xE4)), "");
  EXPECT_EQ(decoder.Push(byte(0xB8)), "");
  EXPECT_EQ(decoder.Push(byte(0xAD)), "中");
  EXPECT_EQ(decoder.Push(byte(0xE4)), "");
  EXPECT_EQ(decoder.Push(259),
            "\xEF\xBF\xBD"
            "a");  // interrupted: the held byte can never be completed
  EXPECT_EQ(decoder.Push(byte(0xF0)), "");
  EXPECT_EQ(decoder.Push(byte(0x9F)), "");
  EXPECT_EQ(decoder.Push(byte('x')),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "x");
  EXPECT_EQ(decoder.Push(byte(0xC3)), "");
  EXPECT_EQ(decoder.Finish(), "\xEF\xBF\xBD");
}

TEST(StreamDecoder, DropsTheDummyPrefixOnlyAtTheStart) {
  const Result<Tokenizer> tokenizer = Tokenizer::Create(SmallVocab({{"\xE2\x96\x81", PieceType::kNormal},
                                                                    {"\xE2\x96\x81"
                                                                     "a",
                                                                     PieceType::kNormal}}));
  ASSERT_TRUE(tokenizer);
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(tokenizer->bos()), "");
  EXPECT_EQ(decoder.Push(260), "a");
  EXPECT_EQ(decoder.Push(260), " a");
  EXPECT_EQ(decoder.Push(tokenizer->eos()), "");
  EXPECT_EQ(decoder.Push(260), " a");
  EXPECT_EQ(decoder.Finish(), "");
  EXPECT_EQ(tokenizer->Decode({259, 259}), " ");
  EXPECT_EQ(tokenizer->Decode({3 + '\n', 259}), "\n ");
  StreamDecoder continuation(*tokenizer, StreamDecoder::Start::kContinuation);
  EXPECT_EQ(continuation.Push(260), " a");
}

}  // namespace
}  // namespace mobilevlm
