// The two prompt templates of MobileVLM (conversation.py): "v1" (vicuna v1, all inference and stage 2) and
// "plain" (stage 1). Turns become pieces of text and control marks; prompt/assemble turns them into ids.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mobilevlm {

enum class ChatTemplate { kV1, kPlain };

std::optional<ChatTemplate> ParseChatTemplate(std::string_view name);  // "v1", "plain"

extern const std::string_view kV1System;

struct Turn {
  std::string user;
  std::string assistant;  // empty in the last turn when an answer is to be generated
  int images = 0;         // pictures attached to this turn; each is put in front as "<image>\n"
};

// One stretch of a rendered conversation. `supervised` marks what the assistant says, which training
// learns (facts: the answer and its </s>).
struct TemplatePiece {
  enum class Kind { kText, kImage, kEos };
  Kind kind = Kind::kText;
  std::string text;
  bool supervised = false;
};

// Rendered for generation if the last turn's assistant text is empty (ends in "ASSISTANT:"), else for
// training. Literal "<image>" or "</s>" inside user text stay plain text here.
std::vector<TemplatePiece> RenderConversation(ChatTemplate chat_template, std::string_view system,
                                              const std::vector<Turn>& turns);

}  // namespace mobilevlm
