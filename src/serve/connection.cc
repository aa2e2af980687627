#include "serve/connection.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace mobilevlm::serve {
namespace {

constexpr auto kLinger = std::chrono::seconds(2);
constexpr size_t kLongestChunkLine = 256;

thread_local Connection* current = nullptr;

void Name(const sockaddr_storage& address, std::string& ip, int& port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    port = ntohs(v6.sin6_port);
  }
  ip = text;
}

}  // namespace

Connection* Connection::Current() { return current; }
Connection::Serving::Serving(Connection& connection) { current = &connection; }
Connection::Serving::~Serving() { current = nullptr; }

bool Connection::PollFor(short events, std::chrono::milliseconds most) const {
  pollfd entry{.fd = socket_, .events = events, .revents = 0};
  const int timeout = static_cast<int>(std::max<int64_t>(most.count(), 0));
  return ::poll(&entry, 1, timeout) > 0;
}

void Connection::BeginRequest() {
  deadline_ = Clock::now() + limits_.header;
  header_ = {};
  line_bytes_ = 0;
  stays_open_ = false;
  head_due_ = true;
  held_.clear();
}

// The library keeps a line whole, and asks for its bytes one by one: those of the header, then those of
// chunks.
bool Connection::TooLong(size_t asked) const {
  if (!header_.ended()) return header_.wrong() || header_.bytes() >= limits_.header_bytes;
  return asked == 1 && line_bytes_ >= kLongestChunkLine;
}

// `bytes` are what the library takes.
void Connection::WatchHeader(const char* bytes, size_t size) {
  if (header_.ended()) return;
  for (size_t i = 0; i < size && !header_.ended(); ++i) header_.Take(bytes[i]);
  if (header_.ended()) deadline_ = Clock::now() + limits_.body;
}

bool Connection::is_readable() const {
  return begin_ < end_ || PollFor(POLLIN, std::chrono::milliseconds(0));
}

bool Connection::is_writable() const { return PollFor(POLLOUT, limits_.write) && !PeerHasGone(); }

ssize_t Connection::read(char* to, size_t size) {
  if (TooLong(size)) return -1;
  if (begin_ == end_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0 || !PollFor(POLLIN, left)) {
      timed_out_ = true;
      return -1;
    }
    const ssize_t received = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<size_t>(received);
  }
  const size_t count = std::min(size, end_ - begin_);
  std::memcpy(to, buffer_.data() + begin_, count);
  begin_ += count;
  if (header_.ended()) line_bytes_ = size == 1 && *to != '\n' ? line_bytes_ + 1 : 0;
  WatchHeader(to, count);
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, size_t size) {
  const bool interim =
      std::string_view(from, size).starts_with("HTTP/1.1 100");  // waited for before the body
  if (head_due_ && !interim) {
    head_due_ = false;
    held_.assign(from, size);
    return static_cast<ssize_t>(size);
  }
  if (!held_.empty()) {
    held_.append(from, size);
    return Flush() ? static_cast<ssize_t>(size) : -1;
  }
  return SendSome(from, size);
}

ssize_t Connection::SendSome(const char* from, size_t size) {
  if (!PollFor(POLLOUT, limits_.write)) return -1;
  return ::send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool Connection::Flush() {
  const std::string all = std::exchange(held_, {});
  for (size_t done = 0; done < all.size();) {
    const ssize_t sent = SendSome(all.data() + done, all.size() - done);
    if (sent <= 0) return false;
    done += static_cast<size_t>(sent);
  }
  return true;
}

bool Connection::PeerHasGone() const {
  if (begin_ < end_) return false;
  char byte;
  const ssize_t found = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return found == 0 || (found < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Connection::Linger() {
  ::shutdown(socket_, SHUT_WR);
  const Clock::time_point end = Clock::now() + kLinger;
  while (Clock::now() < end && PollFor(POLLIN, std::chrono::milliseconds(100))) {
    if (::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT) <= 0) break;
  }
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) Name(address, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0) Name(address, ip, port);
}

}  // namespace mobilevlm::serve
