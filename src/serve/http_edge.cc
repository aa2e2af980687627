#include "serve/http_edge.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <optional>

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

// Digits and nothing else: the library would read "4, 4" as 4.
std::optional<uint64_t> ParseLength(const std::string& text) {
  uint64_t length = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, length);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return length;
}

// The current connection's request has no more bytes.
void ReadToEnd() {
  if (Connection* connection = Connection::Current()) connection->WasReadToEnd();
}

// Whole responses only: the library would send as many parts of one as a request names, thousands.
void ForgetRanges(httplib::Request& request) { request.ranges.clear(); }

void AnnounceClose(const httplib::Request&, httplib::Response& response) {
  const Connection* connection = Connection::Current();
  if (connection == nullptr || connection->stays_open()) return;
  response.headers.erase("Keep-Alive");
  if (!response.has_header("Connection")) response.set_header("Connection", "close");
}

// The library shuts them down when listening has ended, for whatever reason; idle connections end then.
class EdgeThreads : public ConnectionThreads {
 public:
  EdgeThreads(size_t most, std::atomic<bool>& closing) : ConnectionThreads(most), closing_(closing) {}
  void shutdown() override {
    closing_ = true;
    ConnectionThreads::shutdown();
  }

 private:
  std::atomic<bool>& closing_;
};

}  // namespace

ApiResult<void> CheckFraming(const httplib::Request& request) {
  const size_t lengths = request.get_header_value_count("Content-Length");
  const size_t codings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + codings > 1)
    return BadArgument("", "wanted one Content-Length or Transfer-Encoding, found {}", lengths + codings);
  if (lengths == 1 && !ParseLength(request.get_header_value("Content-Length")))
    return BadArgument("", "the Content-Length is not a number");
  const std::string coding = request.get_header_value("Transfer-Encoding");
  if (codings == 1 && ::strcasecmp(coding.c_str(), "chunked") != 0)
    return BadArgument("", "the only Transfer-Encoding that is understood is chunked");
  if (lengths + codings == 0) ReadToEnd();
  return {};
}

bool BodyBudget::Take(uint64_t bytes) {
  uint64_t used = used_.load();
  do {
    if (bytes > most_ || used > most_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes));
  return true;
}

ApiResult<std::string> Body::Read(const httplib::Request& request, const httplib::ContentReader& reader,
                                  uint64_t most) {
  const std::optional<uint64_t> length = ParseLength(request.get_header_value("Content-Length"));
  if (length.value_or(0) > most) return tl::unexpected<ApiError>(TooLarge(most));

  // The library parses forms itself and reads a body without a length to the end of the connection.
  if (request.is_multipart_form_data()) {
    return tl::unexpected<ApiError>(ApiError{
        .status = 415, .message = "wanted application/json, found a form", .code = "unsupported_media_type"});
  }
  if (!length && !request.has_header("Transfer-Encoding")) return std::string();

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
  if (complete) {
    // Where chunks end is not certain: the library takes one of a wrong length for the last.
    if (length) ReadToEnd();
    return body;
  }
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
  new_task_queue = [this] { return new EdgeThreads(connections_, closing_); };
  set_socket_options(SetSocketOptions);
  set_post_routing_handler(AnnounceClose);
  set_default_headers({{"Accept-Ranges", "none"}});
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

Status HttpEdge::Listen() {
  listen_after_bind();
  if (stopped_) return {};
  return Fail("the system gives no more connections: too many files are open, or memory is short");
}

void HttpEdge::StopAccepting() {
  stopped_ = true;
  if (closing_.exchange(true)) return;  // the library has closed the socket
  ::shutdown(svr_sock_, SHUT_RDWR);     // its accept() fails, and it waits for the open connections
}

void HttpEdge::CutOff() {
  const std::lock_guard lock(mutex_);
  cut_off_ = true;
  for (const socket_t socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

void HttpEdge::AddSocket(socket_t socket) {
  const std::lock_guard lock(mutex_);
  sockets_.insert(socket);
  if (cut_off_) ::shutdown(socket, SHUT_RDWR);
}

void HttpEdge::RemoveSocket(socket_t socket) {
  const std::lock_guard lock(mutex_);
  sockets_.erase(socket);
}

bool HttpEdge::Full() {
  const std::lock_guard lock(mutex_);
  return sockets_.size() >= connections_;
}

bool HttpEdge::process_and_close_socket(socket_t socket) {
  Connection connection(socket, limits_);
  const Connection::Serving serving(connection);
  AddSocket(socket);
  bool ok = true;
  // When all threads are taken, others wait; then nobody keeps one for a request that may come later.
  const auto stop = [this] { return closing_ || Full(); };
  for (size_t left = kRequestsPerConnection; left > 0 && connection.WaitForRequest(stop); --left) {
    const bool last = left == 1 || closing_;
    bool closed = false;
    ok = process_request(connection, last, closed, ForgetRanges);
    ok = connection.Flush() && ok;
    if (!ok || closed || last || !connection.stays_open()) break;
  }
  connection.Linger();
  RemoveSocket(socket);
  ::close(socket);
  return ok;
}

void CloseAfterResponse() {
  if (Connection* connection = Connection::Current()) connection->MustClose();
}

}  // namespace mobilevlm::serve
