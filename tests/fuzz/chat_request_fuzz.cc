// Arbitrary bytes as the body of a chat completion: its JSON, the data: URIs and the JSON Schema in it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sample/json_grammar.h"
#include "serve/chat_request.h"
#include "serve/data_uri.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobilevlm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)serve::ParseDataUri(text);
  const auto request = serve::ParseChatRequest(text);
  if (!request) {
    if (request.error().message.empty()) __builtin_trap();
    return 0;
  }
  for (const serve::ChatMessage& message : request->messages) {
    for (const std::string& url : message.images) (void)serve::ParseDataUri(url);
  }
  if (request->options.json_schema.empty()) return 0;
  const auto grammar = CompileJsonSchema(request->options.json_schema);
  if (!grammar) return 0;
  // A few bytes into the grammar, from whatever is there.
  GrammarMatcher matcher(*grammar);
  GrammarMatcher::State state = matcher.Start(), next;
  for (size_t i = 0; i < 64 && !state.empty(); ++i) {
    matcher.Advance(state, data[i % size], next);
    if (next.empty()) matcher.Advance(state, static_cast<unsigned char>("{}[]\":,1 atrue"[i % 14]), next);
    if (!next.empty() && matcher.BytesLeft(next) < 0) __builtin_trap();
    state.swap(next);
  }
  return 0;
}
