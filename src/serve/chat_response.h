// Answers as OpenAI's JSON: completions, chunks of a stream, models, errors. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mobilevlm/mobilevlm.h"
#include "serve/api_error.h"

namespace mobilevlm::serve {

// What all JSON of one completion shares.
struct CompletionId {
  std::string id;  // "chatcmpl-..."
  std::string model;
  int64_t created = 0;  // seconds since 1970
  bool logprobs = false;
};

// "stop" or "length".
std::string_view FinishReason(StopReason stop);

std::string CompletionJson(const CompletionId& id, const Answer& answer);

// Chunks of a stream, in this order: the role, pieces of text, the end, and the usage if it was asked for.
std::string RoleChunkJson(const CompletionId& id);
std::string TextChunkJson(const CompletionId& id, std::string_view text, std::span<const Token> tokens);
std::string EndChunkJson(const CompletionId& id, StopReason stop);
std::string UsageChunkJson(const CompletionId& id, const Stats& stats);

std::string ErrorJson(const ApiError& error);

std::string ModelsJson(std::string_view model, int64_t created);
std::string ModelJson(std::string_view model, int64_t created);

// One event of a text/event-stream.
std::string ServerSentEvent(std::string_view data);

}  // namespace mobilevlm::serve
