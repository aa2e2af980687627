// What tests of the server send that a library would not.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "serve/test_support.h"

namespace mobilevlm::serve {

// A connection without a library's manners.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~RawClient() { Close(); }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  bool Send(const std::string& text) {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // What comes until `wanted` is in it, or the end.
  std::string Read(const std::string& wanted = "\n\n\n", int milliseconds = 20'000) {
    std::string text;
    char buffer[4096];
    pollfd entry{socket_, POLLIN, 0};
    while (text.find(wanted) == std::string::npos && ::poll(&entry, 1, milliseconds) > 0) {
      const ssize_t n = ::recv(socket_, buffer, sizeof(buffer), 0);
      ended_ = n <= 0;
      if (ended_) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }
  // Read came to the end.
  bool ended() const { return ended_; }

 private:
  int socket_;
  bool ended_ = false;
};

inline std::string PostHead(size_t length) {
  return "POST " + std::string(kChat) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n";
}

// Makes this process's listening socket at `port` fail, as the system does when it has no more files or
// memory.
inline void BreakListening(int port) {
  for (int socket = 0; socket < 1024; ++socket) {
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    sockaddr_in address{};
    size = sizeof(address);
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (ntohs(address.sin_port) == port) ::shutdown(socket, SHUT_RDWR);
  }
}

}  // namespace mobilevlm::serve
