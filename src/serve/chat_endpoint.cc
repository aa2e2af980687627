#include "serve/chat_endpoint.h"

#include <openssl/rand.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace mobilevlm::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kLook{100};  // between two looks at whether the client is still there
constexpr char kJsonType[] = "application/json";

uint64_t RandomNumber() {
  uint64_t number = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof(number));
  return number;
}

ApiError Overloaded(int retry_after) {
  return {.status = 429,
          .message = fmt::format("the queue is full; try again in {} s", retry_after),
          .type = "rate_limit_error",
          .code = "queue_full",
          .retry_after_seconds = retry_after};
}

bool ClientHasGone() {
  const Connection* connection = Connection::Current();
  return connection != nullptr && connection->PeerHasGone();
}

}  // namespace

void Refuse(const ApiError& error, httplib::Response& response) {
  response.status = error.status;
  if (error.retry_after_seconds > 0)
    response.set_header("Retry-After", std::to_string(error.retry_after_seconds));
  response.set_content(ErrorJson(error), kJsonType);
}

void ChatEndpoint::Handle(const std::string& client, const httplib::Request& request,
                          httplib::Response& response, const httplib::ContentReader& reader) {
  ApiResult<std::shared_ptr<Exchange>> accepted = Accept(client, request, reader);
  if (!accepted) {
    const ApiError& error = accepted.error();
    Refuse(error, response);
    log_.Info("refused", {{"client", client}, {"status", error.status}, {"code", error.code}});
    return;
  }
  Exchange& exchange = **accepted;
  response.set_header("X-Request-Id", exchange.id.id);
  // Nothing is sent before the first token: until then a balancer may give the request to another replica.
  if (!WaitForNews(exchange, exchange.first)) {
    Log(exchange, 499, "client gone");
    response.status = 499;
    return CloseAfterResponse();
  }
  if (exchange.first.outcome && *exchange.first.outcome != Outcome::kAnswered) {
    const ApiError error = Failure(exchange, *exchange.first.outcome);
    Log(exchange, error.status, error.code.c_str());
    return Refuse(error, response);
  }
  if (exchange.request.stream) return Stream(std::move(*accepted), response);
  Respond(exchange, response);
}

ApiResult<std::shared_ptr<ChatEndpoint::Exchange>> ChatEndpoint::Accept(
    const std::string& client, const httplib::Request& request, const httplib::ContentReader& reader) {
  auto exchange = std::make_shared<Exchange>();
  exchange->client = client;
  Body body(bodies_);  // its bytes stay taken as long as the pictures that came in them are there
  ApiResult<std::vector<Message>> messages = Read(*exchange, body, request, reader);
  if (!messages) return tl::unexpected<ApiError>(messages.error());
  Begin(*exchange);
  ApiResult<BatchRequest> prepared = Prepare(*exchange, *messages);
  messages->clear();
  if (!prepared) return tl::unexpected<ApiError>(prepared.error());
  exchange->positions = prepared->positions();
  exchange->pictures = prepared->pictures();
  if (!scheduler_.Submit(client, std::move(*prepared), exchange->ticket)) {
    return tl::unexpected<ApiError>(Overloaded(scheduler_.RetryAfterSeconds()));
  }
  return exchange;
}

// What is asked, with the bytes of its pictures.
ApiResult<std::vector<Message>> ChatEndpoint::Read(Exchange& exchange, Body& body,
                                                   const httplib::Request& request,
                                                   const httplib::ContentReader& reader) const {
  ApiResult<std::string> text = body.Read(request, reader, options_.max_body);
  if (!text) return tl::unexpected<ApiError>(text.error());
  if (scheduler_.WouldRefuse(exchange.client)) {
    return tl::unexpected<ApiError>(Overloaded(scheduler_.RetryAfterSeconds()));
  }
  ApiResult<ChatRequest> chat = ParseChatRequest(*text, options_.chat);
  if (!chat) return tl::unexpected<ApiError>(chat.error());
  exchange.request = std::move(*chat);
  text->clear();
  text->shrink_to_fit();
  ApiResult<std::vector<Message>> messages = Messages(exchange.request);
  for (ChatMessage& message : exchange.request.messages) {
    for (std::string& image : message.images) image = {};  // megabytes of base64
  }
  return messages;
}

void ChatEndpoint::Begin(Exchange& exchange) const {
  exchange.ticket = std::make_shared<Ticket>(Clock::now() + std::chrono::seconds(options_.request_seconds));
  GenerateOptions& generate = exchange.request.options;
  if (generate.max_tokens == 0) generate.max_tokens = options_.default_max_tokens;
  generate.max_tokens = std::min(generate.max_tokens, options_.most_tokens);
  if (!exchange.request.has_seed) generate.seed = RandomNumber();
  generate.cancel = exchange.ticket->cancel();
  exchange.id = {.id = fmt::format("chatcmpl-{:016x}{:016x}", RandomNumber(), RandomNumber()),
                 .model = exchange.request.model,
                 .created = static_cast<int64_t>(std::time(nullptr)),
                 .logprobs = generate.logprobs >= 0};
}

ApiResult<BatchRequest> ChatEndpoint::Prepare(const Exchange& exchange,
                                              const std::vector<Message>& messages) {
  const GenerateOptions& generate = exchange.request.options;
  std::optional<Result<BatchRequest>> prepared =
      scheduler_.Prepare(messages, generate, exchange.ticket->deadline(), ClientHasGone);
  if (!prepared && ClientHasGone()) {
    CloseAfterResponse();
    return tl::unexpected<ApiError>(
        ApiError{.status = 499, .message = "the client has gone", .code = "client_gone"});
  }
  if (!prepared) return tl::unexpected<ApiError>(Failure(exchange, Outcome::kExpired));
  if (*prepared) return std::move(**prepared);
  const std::string& message = prepared->error().message;
  const bool too_long = message.find("but the context holds") != std::string::npos;
  return tl::unexpected<ApiError>(ApiError{.message = message,
                                           .param = generate.json_schema.empty() ? "messages" : "",
                                           .code = too_long ? "context_length_exceeded" : "invalid_value"});
}

ApiResult<std::vector<Message>> ChatEndpoint::Messages(const ChatRequest& request) const {
  if (request.model != options_.model_name) {
    return tl::unexpected<ApiError>(
        ApiError{.status = 404,
                 .message = fmt::format("the model '{}' does not exist; this server has '{}'",
                                        request.model.substr(0, 100), options_.model_name),
                 .param = "model",
                 .code = "model_not_found"});
  }
  std::vector<Message> messages;
  for (size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& from = request.messages[i];
    Message& message = messages.emplace_back(Message{from.role, from.text, {}});
    for (size_t k = 0; k < from.images.size(); ++k) {
      ApiResult<Picture> picture =
          LoadMedia(from.images[k], fmt::format("messages[{}] image {}", i, k + 1), options_.media);
      if (!picture) return tl::unexpected<ApiError>(picture.error());
      message.pictures.push_back(std::move(*picture));
    }
  }
  return messages;
}

// False if the client has gone; the request is then cancelled.
bool ChatEndpoint::WaitForNews(Exchange& exchange, Ticket::News& news) const {
  for (;;) {
    news = exchange.ticket->Wait(kLook);
    if (news.outcome || !news.text.empty() || !news.tokens.empty()) return true;
    if (ClientHasGone()) {
      exchange.ticket->Cancel();
      scheduler_.Wake();
      return false;
    }
  }
}

void ChatEndpoint::Respond(Exchange& exchange, httplib::Response& response) {
  Ticket::News news = std::move(exchange.first);
  while (!news.outcome) {
    if (!WaitForNews(exchange, news)) {
      Log(exchange, 499, "client gone");
      response.status = 499;
      return CloseAfterResponse();
    }
  }
  if (*news.outcome != Outcome::kAnswered) {
    const ApiError error = Failure(exchange, *news.outcome);
    Log(exchange, error.status, error.code.c_str());
    return Refuse(error, response);
  }
  response.set_content(CompletionJson(exchange.id, **exchange.ticket->answer()), kJsonType);
  Log(exchange, 200, nullptr);
}

void ChatEndpoint::Stream(std::shared_ptr<Exchange> exchange, httplib::Response& response) {
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");  // nginx passes each event on at once
  const auto provide = [this, exchange](size_t offset, httplib::DataSink& sink) {
    if (offset > 0) {
      Ticket::News news;
      return WaitForNews(*exchange, news) && SendNews(*exchange, std::move(news), sink);
    }
    const std::string role = ServerSentEvent(RoleChunkJson(exchange->id));
    return sink.write(role.data(), role.size()) && SendNews(*exchange, std::move(exchange->first), sink);
  };
  const auto release = [this, exchange](bool) {
    if (exchange->logged) return;
    exchange->ticket->Cancel();  // the client went away
    scheduler_.Wake();
    Log(*exchange, 499, "client gone");
  };
  response.set_chunked_content_provider("text/event-stream", provide, release);
}

// False if the client does not take it.
bool ChatEndpoint::SendNews(Exchange& exchange, Ticket::News news, httplib::DataSink& sink) {
  std::string events;
  if (!news.text.empty() || !news.tokens.empty()) {
    events += ServerSentEvent(TextChunkJson(exchange.id, news.text, news.tokens));
  }
  if (news.outcome == Outcome::kAnswered) {
    const Answer& answer = **exchange.ticket->answer();
    events += ServerSentEvent(EndChunkJson(exchange.id, answer.stop));
    if (exchange.request.include_usage) events += ServerSentEvent(UsageChunkJson(exchange.id, answer.stats));
    events += ServerSentEvent("[DONE]");
  } else if (news.outcome) {
    events += ServerSentEvent(ErrorJson(Failure(exchange, *news.outcome)));
  }
  if (!sink.write(events.data(), events.size())) return false;
  if (news.outcome) {
    Log(exchange, 200, *news.outcome == Outcome::kAnswered ? nullptr : "ended early");
    sink.done();
  }
  return true;
}

ApiError ChatEndpoint::Failure(const Exchange& exchange, Outcome outcome) const {
  switch (outcome) {
    case Outcome::kGivenUp:
      return Overloaded(scheduler_.RetryAfterSeconds());
    case Outcome::kExpired:
      return {.status = 503,
              .message = fmt::format("no answer within {} s", options_.request_seconds),
              .type = "server_error",
              .code = "deadline_exceeded",
              .retry_after_seconds = scheduler_.RetryAfterSeconds()};
    case Outcome::kFailed:
      return {.status = 500,
              .message = exchange.ticket->answer()->error().message,
              .type = "server_error",
              .code = "generation_failed"};
    default:
      return {.status = 503,
              .message = "the server is stopping",
              .type = "server_error",
              .code = "stopping",
              .retry_after_seconds = 1};
  }
}

// Once per request; `ending` says what went wrong.
void ChatEndpoint::Log(Exchange& exchange, int status, const char* ending) {
  exchange.logged = true;
  const Ticket::Times& times = exchange.ticket->times();
  Json fields{{"id", exchange.id.id},
              {"client", exchange.client},
              {"status", status},
              {"stream", exchange.request.stream},
              {"prompt_tokens", exchange.positions},
              {"pictures", exchange.pictures}};
  if (ending != nullptr) fields["ending"] = ending;
  const auto& answer = exchange.ticket->answer();
  const bool ended = status != 499 && answer && *answer;
  if (ended) {
    const Stats& stats = (*answer)->stats;
    fields["completion_tokens"] = stats.generated;
    fields["cached_tokens"] = stats.reused_positions;
    fields["finish_reason"] = FinishReason((*answer)->stop);
    fields["queue_ms"] = 1000 * SecondsBetween(times.submitted, times.started);
    fields["first_token_ms"] = 1000 * SecondsBetween(times.submitted, times.first_token);
    fields["total_ms"] = 1000 * SecondsBetween(times.submitted, times.ended);
  }
  if (options_.log_prompts) {
    for (const ChatMessage& message : exchange.request.messages) fields["prompt"].push_back(message.text);
    if (ended) fields["answer"] = (*answer)->text;
  }
  log_.Info("request", fields);
}

}  // namespace mobilevlm::serve
