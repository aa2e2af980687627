// JSON from outside as a value of nlohmann's library.
//
// The library's parser and destructor take any depth, but what walks a value afterwards (dump, copies,
// comparisons) recurses and would run out of stack: text that is nested deeper than any real file is refused
// before it becomes a value. Whoever includes this links nlohmann_json.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_depth.h"
#include "base/result.h"

namespace mobilevlm {

inline constexpr size_t kDeepestJson = 256;  // objects and lists in each other

// An Error that begins with `where`, the file or its line, if the text is no JSON or nested too deeply.
// `watch` is the library's callback, which sees every part as it is read.
template <class Json = nlohmann::json>
Result<Json> ParseJson(std::string_view text, std::string_view where,
                       const typename Json::parser_callback_t& watch = nullptr) {
  if (const size_t depth = JsonDepth(text); depth > kDeepestJson) {
    return Fail("{}: wanted JSON nested at most {} deep, found {}", where, kDeepestJson, depth);
  }
  Json value = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Fail("{}: not valid JSON", where);
  return value;
}

}  // namespace mobilevlm
