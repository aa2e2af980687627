// The HTTP server: an OpenAI-compatible API and the web page, in front of a Scheduler.
//
//   POST /v1/chat/completions   GET /v1/models   GET /v1/models/ID
//   GET /health   GET /ready   GET /metrics   GET / and the page's files
//
// Thread contract: Create, then Run on one thread; Drain from any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mobilevlm/batch.h"
#include "serve/chat_request.h"
#include "serve/connection_limits.h"
#include "serve/media.h"

namespace mobilevlm::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any free one
  std::string model_name;

  std::vector<std::string> api_keys;  // none: everybody may ask
  bool allow_no_key = false;          // elsewhere than on loopback too
  std::string cors_origin;            // which pages elsewhere may call the API; empty: none

  BatchOptions batch;
  size_t queue = 64;
  int preparing = 2;                       // requests whose pictures are decoded at the same time
  int request_seconds = 120;               // from the end of the body to the end of the answer
  int default_max_tokens = 512;            // if a request does not say
  int most_tokens = 4096;                  // a request's max_tokens is cut to this
  uint64_t max_body = uint64_t{16} << 20;  // bytes
  ChatLimits chat;
  ConnectionLimits connection;
  MediaOptions media;

  int drain_seconds = 60;       // Drain() waits so long for answers that have begun
  int drain_delay_seconds = 0;  // and before that goes on accepting for so long, /ready already saying no
  bool log_prompts = false;
  bool quiet = false;  // no logs
};

class Server {
 public:
  // Takes the port. An Error names an option that is wrong or unsafe, or why the port cannot be had.
  static Result<std::unique_ptr<Server>> Create(const Model& model, const ServerOptions& options);
  ~Server();

  int port() const;

  // Serves until Drain() has ended everything. An Error if it could not go on that long; everything has ended
  // then too.
  Status Run();

  // Stops accepting, answers what was accepted for as long as the options say, and makes Run() return. Blocks
  // until then.
  void Drain();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether `host` is this machine only: "localhost", "127.0.0.0/8", "::1".
bool IsLoopback(const std::string& host);

}  // namespace mobilevlm::serve
