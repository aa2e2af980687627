// One TCP connection as cpp-httplib reads and writes it, with what the library leaves open: a deadline for a
// whole header and for a whole body, however slowly they drip, a limit of the header's size and of a chunk's
// line, and a look at whether the other side has gone. The head of a response leaves together with the first
// bytes behind it: if the process dies in between, a balancer has seen nothing of the answer and can ask
// another replica.
//
// Thread contract: belongs to the thread that serves the connection.
#pragma once

#include <httplib.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <string>

#include "serve/connection_limits.h"
#include "serve/header_watch.h"
#include "serve/ticket.h"

namespace mobilevlm::serve {

class Connection : public httplib::Stream {
 public:
  // Does not own the socket.
  Connection(socket_t socket, const ConnectionLimits& limits) : socket_(socket), limits_(limits) {}

  // Waits for the first byte of a request. False if the connection is closed, idle for too long, or `stop`
  // says so, which is asked now and then.
  template <class Stop>
  bool WaitForRequest(const Stop& stop);

  // The connection whose request this thread is serving; nullptr outside. cpp-httplib offers its handlers no
  // other way to it.
  static Connection* Current();
  class Serving {  // makes a connection the current one
   public:
    explicit Serving(Connection& connection);
    ~Serving();
  };

  // Closed from the other side, also half.
  bool PeerHasGone() const;

  // The request that is being served was read to its end, so that what follows is another one. Until somebody
  // says so, nothing can follow: the library itself answers requests whose bodies it has not read.
  void WasReadToEnd() { stays_open_ = true; }
  void MustClose() { stays_open_ = false; }
  bool stays_open() const { return stays_open_; }
  bool timed_out() const { return timed_out_; }

  // Closes in a way that lets the other side read the last response, even if it is still sending.
  void Linger();

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* from, size_t size) override;
  // Sends the head of a response that nothing followed. False: the other side did not take it.
  bool Flush();
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  bool PollFor(short events, std::chrono::milliseconds most) const;
  ssize_t SendSome(const char* from, size_t size);
  void BeginRequest();
  bool TooLong(size_t asked) const;
  void WatchHeader(const char* bytes, size_t size);

  const socket_t socket_;
  const ConnectionLimits limits_;
  std::array<char, 16384> buffer_;  // read ahead: the library asks for single bytes
  size_t begin_ = 0, end_ = 0;
  Clock::time_point deadline_{};  // of header or body
  HeaderWatch header_;
  size_t line_bytes_ = 0;  // read one by one since the last "\n", behind the header
  bool head_due_ = false;  // the next write is the head of the response
  std::string held_;       // that head, until something follows
  bool stays_open_ = false;
  bool timed_out_ = false;
};

template <class Stop>
bool Connection::WaitForRequest(const Stop& stop) {
  constexpr std::chrono::milliseconds kLook{100};
  const Clock::time_point end = Clock::now() + limits_.idle;
  while (begin_ == end_) {
    if (PollFor(POLLIN, kLook)) {
      if (PeerHasGone()) return false;
      break;
    }
    if (stop() || Clock::now() >= end) return false;
  }
  BeginRequest();
  return true;
}

}  // namespace mobilevlm::serve
