#include "engine/prompt_lookup.h"

namespace mobilevlm::engine {
namespace {

// How many ids before `a` equal those before `b`, at most kLongestMatch.
size_t Agreement(std::span<const int> text, size_t a, size_t b) {
  size_t n = 0;
  while (n < kLongestMatch && n < a && text[a - n - 1] >= 0 && text[a - n - 1] == text[b - n - 1]) ++n;
  return n;
}

}  // namespace

Draft LookUpDraft(std::span<const int> text, size_t most) {
  Draft draft;
  if (most == 0) return draft;
  size_t source = 0;  // where the ids after the best match begin
  for (size_t i = text.size(); i-- > 1 && draft.match < kLongestMatch;) {
    // A place without an id to copy would be an empty draft.
    const size_t match = text[i] >= 0 ? Agreement(text, i, text.size()) : 0;
    if (match > draft.match) {
      draft.match = match;
      source = i;
    }
  }
  if (draft.match == 0) return draft;
  const size_t available = text.size() - source;
  while (draft.ids.size() < most) {
    const size_t n = draft.ids.size();
    const int id = n < available ? text[source + n] : draft.ids[n - available];
    if (id < 0) break;
    draft.ids.push_back(id);
  }
  return draft;
}

}  // namespace mobilevlm::engine
