// How deeply JSON text is nested, counted before it is parsed: nothing that walks the tree afterwards, down
// to a library's recursion, can then run out of stack.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace mobilevlm {

// The largest number of objects and lists that are open at once; meaningful for any text.
inline size_t JsonDepth(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace mobilevlm
