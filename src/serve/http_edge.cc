#include "serve/http_edge.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "serve/connection_threads.h"

namespace mobilevlm::serve {
namespace {

constexpr int kBacklog = 512;  // the library's own is 5
constexpr size_t kRequestsPerConnection = 10'000;

// Only one process may have the port; the library would let several share it.
void SetSocketOptions(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

ApiError TooLarge(uint64_t most) {
  return {.status = 413,
          .message = fmt::format("the body is larger than {} bytes", most),
          .code = "request_too_large"};
}

}  // namespace

bool BodyBudget::Take(uint64_t bytes) {
  uint64_t used = used_.load();
  do {
    if (bytes > most_ || used > most_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes));
  return true;
}

ApiResult<std::string> Body::Read(const httplib::Request& request, const httplib::ContentReader& reader,
                                  uint64_t most) {
  const std::string length = request.get_header_value("Content-Length");
  uint64_t announced = 0;
  std::from_chars(length.data(), length.data() + length.size(), announced);
  if (announced > most) return tl::unexpected<ApiError>(TooLarge(most));

  // The library parses forms itself and reads a body without a length to the end of the connection.
  if (request.is_multipart_form_data()) {
    return tl::unexpected<ApiError>(ApiError{
        .status = 415, .message = "wanted application/json, found a form", .code = "unsupported_media_type"});
  }
  if (length.empty() && !request.has_header("Transfer-Encoding")) return std::string();

  std::string body;
  ApiError refusal{.status = 400, .message = "the body ended before its length"};
  const bool complete = reader([&](const char* bytes, size_t size) {
    if (size > most - body.size()) {
      refusal = TooLarge(most);
      return false;
    }
    if (!budget_.Take(size)) {
      refusal = {.status = 503,
                 .message = "too many large requests at the same time",
                 .type = "server_error",
                 .code = "overloaded",
                 .retry_after_seconds = 1};
      return false;
    }
    taken_ += size;
    body.append(bytes, size);
    return true;
  });
  if (complete) return body;
  const Connection* connection = Connection::Current();
  if (connection != nullptr && connection->timed_out()) {
    refusal = {.status = 408, .message = "the body did not arrive in time", .code = "timeout"};
  }
  return tl::unexpected<ApiError>(std::move(refusal));
}

HttpEdge::HttpEdge(const ConnectionLimits& limits, size_t connections)
    : limits_(limits), connections_(connections) {
  // A thread per connection, streams and idle ones included: httplib's own pool of a few would let some idle
  // clients lock out everybody, the balancer's health checks first.
  new_task_queue = [connections] { return new ConnectionThreads(connections); };
  set_socket_options(SetSocketOptions);
  set_tcp_nodelay(true);
  set_keep_alive_max_count(kRequestsPerConnection);
  set_keep_alive_timeout(limits.idle.count());
}

Result<int> HttpEdge::Bind(const std::string& host, int port) {
  const int bound = port == 0 ? bind_to_any_port(host) : bind_to_port(host, port) ? port : -1;
  if (bound < 0)
    return Fail("cannot listen on {}:{}: the address is not ours or the port is taken", host, port);
  ::listen(svr_sock_, kBacklog);
  return bound;
}

void HttpEdge::StopAccepting() {
  closing_ = true;
  ::shutdown(svr_sock_, SHUT_RDWR);  // the library's accept() fails, and it waits for the open connections
}

bool HttpEdge::process_and_close_socket(socket_t socket) {
  Connection connection(socket, limits_);
  const Connection::Serving serving(connection);
  ++open_;
  bool ok = true;
  // When all threads are taken, others wait; then nobody keeps one for a request that may come later.
  const auto stop = [this] { return closing_ || open_ >= connections_; };
  for (size_t left = kRequestsPerConnection; left > 0 && connection.WaitForRequest(stop); --left) {
    bool closed = false;
    ok = process_request(connection, left == 1 || closing_, closed, nullptr);
    ok = connection.Flush() && ok;
    if (!ok || closed || connection.must_close() || connection.in_header()) break;
  }
  --open_;
  connection.Linger();
  ::close(socket);
  return ok;
}

void RefuseUnread(httplib::Response& response) {
  if (Connection* connection = Connection::Current()) connection->MustClose();
  response.set_header("Connection", "close");
}

}  // namespace mobilevlm::serve
