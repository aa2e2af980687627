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

// What a user types to say where in the text a picture belongs.
inline constexpr std::string_view kImageMark = "<image>";

int CountImageMarks(std::string_view text);

struct Turn {
  std::string user;
  std::string assistant;  // empty in the last turn when an answer is to be generated
  int images = 0;         // pictures attached to this turn
};

// One stretch of a rendered conversation. `supervised` marks what the assistant says, which training
// learns.
struct TemplatePiece {
  enum class Kind { kText, kImage, kEos };
  Kind kind = Kind::kText;
  std::string text;
  bool supervised = false;
};

// Rendered for generation if the last turn's assistant text is empty (ends in "ASSISTANT:"), else for
// training.
//
//   v1:     {system} USER: {user} ASSISTANT: {assistant}</s>USER: {user} ASSISTANT: ...
//   plain:  <image>{assistant}\n        (no system, and what the user says is dropped, as in the original)
//
// Adjacent text pieces are one stretch of text to the tokenizer; they are apart only because one is
// supervised. A turn's typed "<image>" marks become its pictures, in order; pictures without a mark go in
// front of the user's text as "<image>\n". Marks beyond the pictures, marks in system or assistant text,
// and "</s>" or "<s>" anywhere stay plain text. An empty `system` means the template's own.
std::vector<TemplatePiece> RenderConversation(ChatTemplate chat_template, std::string_view system,
                                              const std::vector<Turn>& turns);

}  // namespace mobilevlm
