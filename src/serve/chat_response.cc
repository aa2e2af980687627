#include "serve/chat_response.h"

#include <nlohmann/json.hpp>

namespace mobilevlm::serve {
namespace {

using Json = nlohmann::ordered_json;

// Text is UTF-8; a token may be half a character, whose bytes stand beside it.
std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json Choice(const TokenChoice& choice) {
  Json bytes = Json::array();
  for (const char c : choice.bytes) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", choice.bytes}, {"logprob", choice.logprob}, {"bytes", std::move(bytes)}};
}

Json Logprobs(const CompletionId& id, std::span<const Token> tokens) {
  if (!id.logprobs) return nullptr;
  Json content = Json::array();
  for (const Token& token : tokens) {
    Json top = Json::array();
    for (const TokenChoice& choice : token.top) top.push_back(Choice(choice));
    content.push_back(Choice(token));
    content.back()["top_logprobs"] = std::move(top);
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json Usage(const Stats& stats) {
  return {{"prompt_tokens", stats.prompt_positions},
          {"completion_tokens", stats.generated},
          {"total_tokens", stats.prompt_positions + stats.generated},
          {"prompt_tokens_details", {{"cached_tokens", stats.reused_positions}}}};
}

Json Head(const CompletionId& id, const char* object) {
  return {{"id", id.id}, {"object", object}, {"created", id.created}, {"model", id.model}};
}

std::string Chunk(const CompletionId& id, Json delta, Json logprobs, Json finish_reason) {
  Json json = Head(id, "chat.completion.chunk");
  json["choices"] = Json::array({{{"index", 0},
                                  {"delta", std::move(delta)},
                                  {"logprobs", std::move(logprobs)},
                                  {"finish_reason", std::move(finish_reason)}}});
  return Dump(json);
}

Json Model(std::string_view model, int64_t created) {
  return {{"id", model}, {"object", "model"}, {"created", created}, {"owned_by", "mobilevlm"}};
}

Json OrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string_view FinishReason(StopReason stop) {
  return stop == StopReason::kEos || stop == StopReason::kStopString ? "stop" : "length";
}

std::string CompletionJson(const CompletionId& id, const Answer& answer) {
  Json json = Head(id, "chat.completion");
  json["choices"] =
      Json::array({{{"index", 0},
                    {"message", {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}}},
                    {"logprobs", Logprobs(id, answer.tokens)},
                    {"finish_reason", FinishReason(answer.stop)}}});
  json["usage"] = Usage(answer.stats);
  return Dump(json);
}

std::string RoleChunkJson(const CompletionId& id) {
  return Chunk(id, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
}

std::string TextChunkJson(const CompletionId& id, std::string_view text, std::span<const Token> tokens) {
  return Chunk(id, {{"content", text}}, Logprobs(id, tokens), nullptr);
}

std::string EndChunkJson(const CompletionId& id, StopReason stop) {
  return Chunk(id, Json::object(), nullptr, FinishReason(stop));
}

std::string UsageChunkJson(const CompletionId& id, const Stats& stats) {
  Json json = Head(id, "chat.completion.chunk");
  json["choices"] = Json::array();
  json["usage"] = Usage(stats);
  return Dump(json);
}

std::string ErrorJson(const ApiError& error) {
  return Dump({{"error",
                {{"message", error.message},
                 {"type", error.type},
                 {"param", OrNull(error.param)},
                 {"code", OrNull(error.code)}}}});
}

std::string ModelsJson(std::string_view model, int64_t created) {
  return Dump({{"object", "list"}, {"data", Json::array({Model(model, created)})}});
}

std::string ModelJson(std::string_view model, int64_t created) { return Dump(Model(model, created)); }

std::string ServerSentEvent(std::string_view data) { return "data: " + std::string(data) + "\n\n"; }

}  // namespace mobilevlm::serve
