// POST /v1/chat/completions, from the body to the last byte of the answer.
#pragma once

#include <httplib.h>

#include <atomic>
#include <memory>
#include <string>

#include "mobilevlm/mobilevlm.h"
#include "serve/chat_request.h"
#include "serve/chat_response.h"
#include "serve/http_edge.h"
#include "serve/request_log.h"
#include "serve/scheduler.h"
#include "serve/server.h"

namespace mobilevlm::serve {

// Sends a refusal.
void Refuse(const ApiError& error, httplib::Response& response);

class ChatEndpoint {
 public:
  // All outlive the endpoint.
  ChatEndpoint(const ServerOptions& options, Scheduler& scheduler, RequestLog& log)
      : options_(options), scheduler_(scheduler), log_(log), bodies_(16 * options.max_body) {}

  // `client`: whose turn in the queue it is.
  void Handle(const std::string& client, const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader& reader);

 private:
  // A request from its submission on. Shared with the content provider of a stream, which outlives Handle.
  struct Exchange {
    CompletionId id;
    std::string client;
    ChatRequest request;
    std::shared_ptr<Ticket> ticket;
    int positions = 0, pictures = 0;
    Ticket::News first;  // what had come when the response began
    bool logged = false;
  };

  ApiResult<std::shared_ptr<Exchange>> Accept(const std::string& client, const httplib::Request& request,
                                              const httplib::ContentReader& reader);
  ApiResult<std::vector<Message>> Read(Exchange& exchange, Body& body, const httplib::Request& request,
                                       const httplib::ContentReader& reader) const;
  ApiResult<std::vector<Message>> Messages(const ChatRequest& request) const;
  void Begin(Exchange& exchange) const;
  ApiResult<BatchRequest> Prepare(const Exchange& exchange, const std::vector<Message>& messages);
  bool WaitForNews(Exchange& exchange, Ticket::News& news) const;
  void Respond(Exchange& exchange, httplib::Response& response);
  void Stream(std::shared_ptr<Exchange> exchange, httplib::Response& response);
  bool SendNews(Exchange& exchange, Ticket::News news, httplib::DataSink& sink);
  ApiError Failure(const Exchange& exchange, Outcome outcome) const;
  void Log(Exchange& exchange, int status, const char* ending);

  const ServerOptions& options_;
  Scheduler& scheduler_;
  RequestLog& log_;
  BodyBudget bodies_;
};

}  // namespace mobilevlm::serve
