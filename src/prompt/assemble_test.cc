#include "prompt/assemble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/read_file.h"

namespace mobilevlm {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

class AssembleTest : public testing::Test {
 protected:
  static Tokenizer Load() {
    const auto bytes = ReadFile(MOBILEVLM_SOURCE_DIR "/tests/golden/tokenizer/tokenizer.model", 1 << 24);
    EXPECT_TRUE(bytes);
    auto vocab = ParseSentencePieceModel(*bytes);
    EXPECT_TRUE(vocab);
    auto tokenizer = Tokenizer::Create(*std::move(vocab));
    EXPECT_TRUE(tokenizer);
    return *std::move(tokenizer);
  }

  Prompt Assemble(ChatTemplate chat_template, const std::vector<Turn>& turns,
                  const char* system = "A chat.") {
    const auto prompt = AssemblePrompt(tokenizer_, chat_template, system, turns);
    EXPECT_TRUE(prompt) << prompt.error().message;
    for (const PromptSegment& segment : prompt->segments) {
      EXPECT_EQ(segment.ids.size(), segment.supervised.size());
      EXPECT_EQ(segment.is_image, segment.ids.empty());
    }
    return *prompt;
  }

  std::string ErrorOf(ChatTemplate chat_template, const std::vector<Turn>& turns) {
    const auto prompt = AssemblePrompt(tokenizer_, chat_template, "", turns);
    return prompt ? "accepted" : prompt.error().message;
  }

  // The text of the supervised ids of a segment, as pieces.
  std::vector<int> Supervised(const PromptSegment& segment) {
    std::vector<int> ids;
    for (size_t i = 0; i < segment.ids.size(); ++i) {
      if (segment.supervised[i]) ids.push_back(segment.ids[i]);
    }
    return ids;
  }

  std::vector<int> Joined(std::vector<std::vector<int>> parts) {
    std::vector<int> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  Tokenizer tokenizer_ = Load();
};

// The reference's ids of the nano models' prompt: "A chat. USER: <image>\nWhat is in the image? ASSISTANT:".
TEST_F(AssembleTest, EqualsTheReferenceIdsOfTheNanoModels) {
  for (const char* model : {"nano-ldpv2", "nano80-ldp", "nano-mlp"}) {
    const auto text =
        ReadFile(std::string(MOBILEVLM_SOURCE_DIR "/tests/golden/") + model + "/expected.json", 1 << 20);
    ASSERT_TRUE(text) << text.error().message;
    const auto expected = nlohmann::json::parse(*text);
    const Prompt prompt = Assemble(ChatTemplate::kV1, {{"What is in the image?", "", 1}});
    ASSERT_EQ(prompt.segments.size(), 3u);
    EXPECT_EQ(prompt.segments[0].ids, expected["ids_before_image"].get<std::vector<int>>());
    EXPECT_TRUE(prompt.segments[1].is_image);
    EXPECT_EQ(prompt.segments[2].ids, expected["ids_after_image"].get<std::vector<int>>());
    EXPECT_EQ(prompt.images(), 1);
    EXPECT_EQ(prompt.text_tokens(), 32);
    EXPECT_THAT(prompt.segments[0].supervised, Each(0));
    EXPECT_THAT(prompt.segments[2].supervised, Each(0));
  }
}

TEST_F(AssembleTest, V1SupervisesExactlyTheAnswerAndItsEos) {
  const Prompt prompt = Assemble(ChatTemplate::kV1, {{"What?", "word in the image", 1}});
  ASSERT_EQ(prompt.segments.size(), 3u);
  const PromptSegment& segment = prompt.segments[2];
  // The answer as if alone: its first word carries the space after "ASSISTANT:" as its own "▁".
  EXPECT_EQ(Supervised(segment), Joined({tokenizer_.Encode("word in the image"), {tokenizer_.eos()}}));
  EXPECT_EQ(segment.ids,
            Joined({tokenizer_.Encode("\nWhat? ASSISTANT: word in the image"), {tokenizer_.eos()}}));
  // Generation meets the same ids: its prompt is the unsupervised part.
  const Prompt question = Assemble(ChatTemplate::kV1, {{"What?", "", 1}});
  const size_t unsupervised = segment.ids.size() - Supervised(segment).size();
  EXPECT_EQ(question.segments[2].ids,
            std::vector<int>(segment.ids.begin(), segment.ids.begin() + static_cast<long>(unsupervised)));
}

TEST_F(AssembleTest, AnAnswerWithoutAPieceOfItsOwnStartsWithTheLoneSpace) {
  // "中" has no piece: byte ids after a lone "▁" (691), which the mask rule leaves supervised.
  const Prompt prompt = Assemble(ChatTemplate::kV1, {{"What?", "中", 0}});
  EXPECT_EQ(Supervised(prompt.segments[0]), Joined({{691}, {231, 187, 176}, {tokenizer_.eos()}}));
}

TEST_F(AssembleTest, LaterTurnsStartWithTheirOwnDummyPrefixRightAfterEos) {
  const Prompt prompt =
      Assemble(ChatTemplate::kV1, {{"One?", "is", 0}, {"Two?", "the", 0}, {"Three?", "", 0}});
  ASSERT_EQ(prompt.segments.size(), 1u);
  const int eos = tokenizer_.eos();
  EXPECT_EQ(prompt.segments[0].ids, Joined({{tokenizer_.bos()},
                                            tokenizer_.Encode("A chat. USER: One? ASSISTANT: is"),
                                            {eos},
                                            tokenizer_.Encode("USER: Two? ASSISTANT: the"),
                                            {eos},
                                            tokenizer_.Encode("USER: Three? ASSISTANT:")}));
  EXPECT_EQ(Supervised(prompt.segments[0]),
            Joined({tokenizer_.Encode("is"), {eos}, tokenizer_.Encode("the"), {eos}}));
}

TEST_F(AssembleTest, PlainSupervisesCaptionAndNewline) {
  const Prompt prompt = Assemble(ChatTemplate::kPlain, {{"Describe it.", "the image", 1}});
  ASSERT_EQ(prompt.segments.size(), 3u);
  EXPECT_THAT(prompt.segments[0].ids, ElementsAre(tokenizer_.bos()));
  EXPECT_THAT(prompt.segments[0].supervised, ElementsAre(0));
  EXPECT_TRUE(prompt.segments[1].is_image);
  EXPECT_EQ(prompt.segments[2].ids, tokenizer_.Encode("the image\n"));
  EXPECT_THAT(prompt.segments[2].supervised, Each(1));
  EXPECT_EQ(Assemble(ChatTemplate::kPlain, {{"", "", 1}}).segments.size(), 2u);
}

TEST_F(AssembleTest, SeveralPicturesStandWhereTheirMarksAre) {
  const Prompt prompt = Assemble(ChatTemplate::kV1, {{"Is <image> like <image>?", "", 2}});
  ASSERT_EQ(prompt.segments.size(), 5u);
  EXPECT_EQ(prompt.images(), 2);
  EXPECT_EQ(prompt.segments[0].ids, Joined({{1}, tokenizer_.Encode("A chat. USER: Is ")}));
  EXPECT_EQ(prompt.segments[2].ids, tokenizer_.Encode(" like "));
  EXPECT_EQ(prompt.segments[4].ids, tokenizer_.Encode("? ASSISTANT:"));
  // Nothing between two pictures: no segment between them.
  EXPECT_EQ(Assemble(ChatTemplate::kV1, {{"<image><image>", "", 2}}).segments.size(), 4u);
}

TEST_F(AssembleTest, OnlyTheTemplateInsertsControlIds) {
  const Prompt prompt = Assemble(ChatTemplate::kV1, {{"</s><s>", "</s> x", 0}}, "<s> system </s>");
  int bos = 0;
  int eos = 0;
  for (const int id : prompt.segments[0].ids) {
    bos += id == tokenizer_.bos();
    eos += id == tokenizer_.eos();
  }
  EXPECT_EQ(bos, 1);
  EXPECT_EQ(eos, 1);
  EXPECT_EQ(prompt.segments[0].ids.back(), tokenizer_.eos());
}

TEST_F(AssembleTest, RefusesWhatCannotBeRendered) {
  EXPECT_THAT(ErrorOf(ChatTemplate::kV1, {{"Is <image> <image>?", "", 1}}),
              HasSubstr("turn 1 has 2 <image> mark(s), but 1 picture(s) were given"));
  EXPECT_THAT(ErrorOf(ChatTemplate::kPlain, {{"<image>", "a", 0}}), HasSubstr("but 0 picture(s)"));
  EXPECT_THAT(ErrorOf(ChatTemplate::kV1, {}), HasSubstr("no turn"));
  EXPECT_THAT(ErrorOf(ChatTemplate::kV1, {{"a", "", -1}}), HasSubstr("-1 pictures"));
  EXPECT_THAT(ErrorOf(ChatTemplate::kPlain, {{"", "a", 1}, {"", "b", 1}}), HasSubstr("one turn, found 2"));
}

}  // namespace
}  // namespace mobilevlm
