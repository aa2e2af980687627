#include "prompt/assemble.h"

#include <algorithm>
#include <utility>

namespace mobilevlm {
namespace {

using Kind = TemplatePiece::Kind;

class Assembler {
 public:
  explicit Assembler(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    segments_.emplace_back();
    Append(tokenizer.bos(), false);
  }

  void Add(const TemplatePiece& piece) {
    if (piece.kind == Kind::kText) {
      if (piece.supervised && !has_answer_) {
        has_answer_ = true;
        answer_begin_ = text_.size();
      }
      text_ += piece.text;
      return;
    }
    FlushText();
    if (piece.kind == Kind::kEos) {
      Append(tokenizer_.eos(), piece.supervised);
    } else {
      PromptSegment image;
      image.is_image = true;
      segments_.push_back(std::move(image));
    }
  }

  Prompt Take() {
    FlushText();
    return Prompt{std::move(segments_)};
  }

 private:
  // Tokenises the text since the last image or </s> as one stretch, so that the answer's first word takes
  // its space from "ASSISTANT: ". Supervision starts where the text before the answer ends, less the lone
  // "▁" which that text ends in when it stands alone and which merges into the answer (preprocess_v1).
  void FlushText() {
    const std::vector<int> ids = tokenizer_.Encode(text_);
    size_t first = ids.size();
    if (has_answer_) {
      const size_t before = tokenizer_.Encode(std::string_view(text_).substr(0, answer_begin_)).size();
      first = before == 0 ? 0 : before - 1;
    }
    for (size_t i = 0; i < ids.size(); ++i) Append(ids[i], i >= first);
    text_.clear();
    has_answer_ = false;
  }

  void Append(int id, bool supervised) {
    if (segments_.back().is_image) segments_.emplace_back();
    segments_.back().ids.push_back(id);
    segments_.back().supervised.push_back(supervised ? 1 : 0);
  }

  const Tokenizer& tokenizer_;
  std::vector<PromptSegment> segments_;
  std::string text_;  // not yet tokenised
  bool has_answer_ = false;
  size_t answer_begin_ = 0;  // byte of text_ where supervised text begins
};

Status CheckTurns(ChatTemplate chat_template, const std::vector<Turn>& turns) {
  if (turns.empty()) return Fail("prompt: the conversation has no turn");
  if (chat_template == ChatTemplate::kPlain && turns.size() != 1) {
    return Fail("prompt: the plain template takes one turn, found {}", turns.size());
  }
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].images < 0) return Fail("prompt: turn {} has {} pictures", i + 1, turns[i].images);
    const int marks = CountImageMarks(turns[i].user);
    if (marks > turns[i].images) {
      return Fail("prompt: turn {} has {} {} mark(s), but {} picture(s) were given", i + 1, marks, kImageMark,
                  turns[i].images);
    }
  }
  return {};
}

}  // namespace

int Prompt::images() const {
  return static_cast<int>(std::count_if(segments.begin(), segments.end(),
                                        [](const PromptSegment& segment) { return segment.is_image; }));
}

int Prompt::text_tokens() const {
  size_t count = 0;
  for (const PromptSegment& segment : segments) count += segment.ids.size();
  return static_cast<int>(count);
}

Result<Prompt> AssemblePrompt(const Tokenizer& tokenizer, ChatTemplate chat_template, std::string_view system,
                              const std::vector<Turn>& turns) {
  MVLM_TRY(CheckTurns(chat_template, turns));
  Assembler assembler(tokenizer);
  for (const TemplatePiece& piece : RenderConversation(chat_template, system, turns)) assembler.Add(piece);
  return assembler.Take();
}

}  // namespace mobilevlm
