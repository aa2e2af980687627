// HttpEdge: cpp-httplib with our connections: limits of Connection, threads for every connection that may be
// open, a body reader that counts, and responses that close what cannot go on.
#pragma once

#include <httplib.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "serve/api_error.h"
#include "serve/connection.h"

namespace mobilevlm::serve {

// Refuses a request of which somebody on the way here could take another end for the true one. A request
// without a body is read to its end with that, see Connection.
ApiResult<void> CheckFraming(const httplib::Request& request);

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

  // Reads it all, after CheckFraming; more than `most` bytes, whatever the header said, is a refusal.
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

  // Serves until StopAccepting(), then until every connection is done. An Error if listening ended by itself.
  Status Listen();

  // Ends listening: no more connections; those that are open are closed after the request they are in. Not
  // stop(), after which the library cuts off every response that is being streamed.
  void StopAccepting();

  // After StopAccepting: ends all connections in the middle of what they are in.
  void CutOff();

 private:
  bool process_and_close_socket(socket_t socket) override;
  void AddSocket(socket_t socket);
  void RemoveSocket(socket_t socket);
  bool Full();

  const ConnectionLimits limits_;
  const size_t connections_;
  std::atomic<bool> stopped_{false};  // by StopAccepting
  std::atomic<bool> closing_{false};  // listening has ended, or is about to
  std::mutex mutex_;                  // guards what follows
  std::set<socket_t> sockets_;        // of the connections that have a thread
  bool cut_off_ = false;
};

// Nothing follows on the connection that this thread is serving.
void CloseAfterResponse();

}  // namespace mobilevlm::serve
