#include "text/conversation.h"

#include <algorithm>
#include <utility>

namespace mobilevlm {

// Model data: the wording the released checkpoints were trained with (conversation.py, conv_vicuna_v1).
const std::string_view kV1System =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.";

namespace {

using Kind = TemplatePiece::Kind;

// Collects pieces; text of the same kind grows the last piece.
class Renderer {
 public:
  void Text(std::string_view text, bool supervised = false) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().kind != Kind::kText || pieces_.back().supervised != supervised) {
      pieces_.push_back({Kind::kText, {}, supervised});
    }
    pieces_.back().text += text;
  }
  void Image() { pieces_.push_back({Kind::kImage, {}, false}); }
  void Eos() { pieces_.push_back({Kind::kEos, {}, true}); }

  // The user's text with its pictures at their marks, or in front.
  void User(const Turn& turn) {
    const int marks = std::min(CountImageMarks(turn.user), turn.images);
    for (int i = marks; i < turn.images; ++i) {
      Image();
      Text("\n");
    }
    std::string_view rest = turn.user;
    for (int i = 0; i < marks; ++i) {
      const size_t mark = rest.find(kImageMark);
      Text(rest.substr(0, mark));
      Image();
      rest.remove_prefix(mark + kImageMark.size());
    }
    Text(rest);
  }

  std::vector<TemplatePiece> Take() { return std::move(pieces_); }

 private:
  std::vector<TemplatePiece> pieces_;
};

void RenderV1(std::string_view system, const std::vector<Turn>& turns, Renderer& out) {
  out.Text(system.empty() ? kV1System : system);
  out.Text(" ");
  for (const Turn& turn : turns) {
    out.Text("USER: ");
    out.User(turn);
    out.Text(" ASSISTANT:");
    if (turn.assistant.empty()) continue;
    out.Text(" ");
    out.Text(turn.assistant, /*supervised=*/true);
    out.Eos();
  }
}

void RenderPlain(const std::vector<Turn>& turns, Renderer& out) {
  for (const Turn& turn : turns) {
    for (int i = 0; i < turn.images; ++i) out.Image();
    if (turn.assistant.empty()) continue;
    out.Text(turn.assistant, /*supervised=*/true);
    out.Text("\n", /*supervised=*/true);
  }
}

}  // namespace

std::optional<ChatTemplate> ParseChatTemplate(std::string_view name) {
  if (name == "v1") return ChatTemplate::kV1;
  if (name == "plain") return ChatTemplate::kPlain;
  return std::nullopt;
}

int CountImageMarks(std::string_view text) {
  int marks = 0;
  for (size_t at = text.find(kImageMark); at != std::string_view::npos;
       at = text.find(kImageMark, at + kImageMark.size())) {
    ++marks;
  }
  return marks;
}

std::vector<TemplatePiece> RenderConversation(ChatTemplate chat_template, std::string_view system,
                                              const std::vector<Turn>& turns) {
  Renderer out;
  switch (chat_template) {
    case ChatTemplate::kV1:
      RenderV1(system, turns, out);
      break;
    case ChatTemplate::kPlain:
      RenderPlain(turns, out);
      break;
  }
  return out.Take();
}

}  // namespace mobilevlm
