#include "text/conversation.h"

#include <gtest/gtest.h>

namespace mobilevlm {
namespace {

// Images as [I], </s> as [E], supervised text in {}.
std::string Written(const std::vector<TemplatePiece>& pieces) {
  std::string out;
  for (const TemplatePiece& piece : pieces) {
    switch (piece.kind) {
      case TemplatePiece::Kind::kText:
        out += piece.supervised ? "{" + piece.text + "}" : piece.text;
        break;
      case TemplatePiece::Kind::kImage:
        out += "[I]";
        break;
      case TemplatePiece::Kind::kEos:
        EXPECT_TRUE(piece.supervised);
        out += "[E]";
        break;
    }
  }
  return out;
}

std::string V1(const std::vector<Turn>& turns) {
  return Written(RenderConversation(ChatTemplate::kV1, "S.", turns));
}
std::string Plain(const std::vector<Turn>& turns) {
  return Written(RenderConversation(ChatTemplate::kPlain, "ignored", turns));
}

TEST(Conversation, V1ForGenerationEndsInAssistantColon) {
  EXPECT_EQ(V1({{"What?", "", 1}}), "S. USER: [I]\nWhat? ASSISTANT:");
  EXPECT_EQ(V1({{"Hello", "", 0}}), "S. USER: Hello ASSISTANT:");
}

TEST(Conversation, V1ForTrainingSupervisesTheAnswers) {
  EXPECT_EQ(V1({{"What?", "A cat", 1}}), "S. USER: [I]\nWhat? ASSISTANT: {A cat}[E]");
  EXPECT_EQ(V1({{"What?", "A cat", 1}, {"Sure?", "Yes", 0}, {"Why?", "", 0}}),
            "S. USER: [I]\nWhat? ASSISTANT: {A cat}[E]USER: Sure? ASSISTANT: {Yes}[E]USER: Why? ASSISTANT:");
}

TEST(Conversation, V1HasTheOfficialSystemTextByDefault) {
  EXPECT_EQ(Written(RenderConversation(ChatTemplate::kV1, "", {{"Hi", "", 0}})),
            "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
            "helpful, detailed, and polite answers to the user's questions. USER: Hi ASSISTANT:");
}

TEST(Conversation, PlainIsThePictureAndItsCaption) {
  EXPECT_EQ(Plain({{"Describe it.", "a red cube", 1}}), "[I]{a red cube\n}");
  EXPECT_EQ(Plain({{"Describe it.", "", 1}}), "[I]");
}

TEST(Conversation, TypedMarksPlaceThePictures) {
  EXPECT_EQ(V1({{"Is <image> like <image>?", "", 2}}), "S. USER: Is [I] like [I]? ASSISTANT:");
  EXPECT_EQ(V1({{"Which?", "", 2}}), "S. USER: [I]\n[I]\nWhich? ASSISTANT:");
  EXPECT_EQ(V1({{"And <image>?", "", 2}}), "S. USER: [I]\nAnd [I]? ASSISTANT:");
  EXPECT_EQ(V1({{"<image><image>", "", 1}}), "S. USER: [I]<image> ASSISTANT:");
  EXPECT_EQ(CountImageMarks("<image><imag<image>"), 2);
}

TEST(Conversation, ControlPiecesTypedInAnyTextStayText) {
  EXPECT_EQ(V1({{"</s> <s>", "<image></s>", 0}}), "S. USER: </s> <s> ASSISTANT: {<image></s>}[E]");
}

TEST(Conversation, ParsesTemplateNames) {
  EXPECT_EQ(ParseChatTemplate("v1"), ChatTemplate::kV1);
  EXPECT_EQ(ParseChatTemplate("plain"), ChatTemplate::kPlain);
  EXPECT_EQ(ParseChatTemplate("V1"), std::nullopt);
}

}  // namespace
}  // namespace mobilevlm
