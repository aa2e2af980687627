// Prompt text with pictures -> ids and image places, exactly as the official tokenizer_image_token does:
// BOS once at the very start; every stretch of text between <image> marks and after </s> is tokenised by
// itself, each with its dummy prefix. Training uses the same function, so labels and prompts agree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/conversation.h"
#include "text/tokenizer.h"

namespace mobilevlm {

// A prompt is a sequence of segments; an image segment stands for the picture's visual tokens.
struct PromptSegment {
  bool is_image = false;
  std::vector<int> ids;             // empty for an image
  std::vector<uint8_t> supervised;  // one flag per id (1: training learns it); empty for an image
};

struct Prompt {
  std::vector<PromptSegment> segments;

  int images() const;
  int text_tokens() const;
};

// `turns` may hold typed "<image>" marks: they take the place of that turn's pictures, in order; if a turn
// has fewer marks than pictures, the remaining pictures go in front as "<image>\n". More marks than
// pictures, no turn at all, or several turns with the plain template are an Error. An empty system string
// means the template's own.
//
// Supervised are exactly the ids of the assistant's texts and, with v1, the </s> after each; plain
// supervises the caption and its newline (preprocess_v1 and preprocess_plain, train.py). BOS is
// the first id of the first segment, which is always text.
Result<Prompt> AssemblePrompt(const Tokenizer& tokenizer, ChatTemplate chat_template, std::string_view system,
                              const std::vector<Turn>& turns);

}  // namespace mobilevlm
