// Prompt lookup: drafts for speculative decoding without a draft model. What followed the last few ids when
// they occurred before, in the prompt or in the answer so far, is a good guess of what follows now (names
// from the question, lists, repeated phrases).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mobilevlm::engine {

inline constexpr size_t kLongestMatch = 4;  // a longer agreement says hardly more

struct Draft {
  std::vector<int> ids;
  size_t match = 0;  // how many of the last ids agreed, 1..kLongestMatch; 0: no draft
};

// The draft of at most `most` ids behind the longest agreement, the latest one among equals. Negative entries
// of `text` are no ids (places of pictures): they agree with nothing and end a draft. A draft that reaches
// the end of `text` goes on with its own beginning, so a loop in the text is continued as a loop.
Draft LookUpDraft(std::span<const int> text, size_t most);

}  // namespace mobilevlm::engine
