// HttpEdge: cpp-httplib with our connections: limits of Connection, threads for every connection that may be
// open, a body reader that counts, and responses that close what cannot go on.
#pragma once

#include <httplib.h>

#include <atomic>
#include <functional>
#include <string>

#include "base/result.h"
#include "serve/api_error.h"
#include "serve/connection.h"

namespace mobilevlm::serve {

// Bytes of bodies that are held at the same time by all connections.
class BodyBudget {
 public:
  explicit BodyBudget(uint64_t most) : most_(most) {}
  bool Take(uint64_t bytes);
  void Return(uint64_t bytes) { used_ -= bytes; }

 private:
  const uint64_t most_;
  std::atomic<uint64_t> used_{0};
};

// A body and its part of the budget, given back in the end.
class Body {
 public:
  explicit Body(BodyBudget& budget) : budget_(budget) {}
  ~Body() { budget_.Return(taken_); }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  // Reads it all; more than `most` bytes, whatever the header said, is a refusal.
  ApiResult<std::string> Read(const httplib::Request& request, const httplib::ContentReader& reader,
                              uint64_t most);

 private:
  BodyBudget& budget_;
  uint64_t taken_ = 0;
};

class HttpEdge : public httplib::Server {
 public:
  HttpEdge(const ConnectionLimits& limits, size_t connections);

  // Takes the port (0: any); returns it.
  Result<int> Bind(const std::string& host, int port);

  // Ends listening: no more connections; those that are open are closed after the request they are in. Not
  // stop(), after which the library cuts off every response that is being streamed.
  void StopAccepting();

 private:
  bool process_and_close_socket(socket_t socket) override;

  const ConnectionLimits limits_;
  std::atomic<bool> closing_{false};
  std::atomic<size_t> open_{0};  // connections that have a thread or wait for one
  const size_t connections_;
};

// Closes the connection after this response: what is left of the request was not read.
void RefuseUnread(httplib::Response& response);

}  // namespace mobilevlm::serve
