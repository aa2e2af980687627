// StopSignals: Ctrl-C and SIGTERM, on a thread of their own. Until there is a server they end the process as
// they do elsewhere. Then the first one drains it, and a second one ends the process.
//
// Thread contract: create it before any other thread, so that all of them leave the signals to its own; the
// rest on the same thread.
#pragma once

#include <csignal>
#include <mutex>
#include <thread>

#include "serve/server.h"

namespace mobilevlm::serve {

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // From now on the first signal drains `server`; Run() must follow.
  void Watch(Server& server);
  Status Run();

 private:
  void Wait();
  void End();

  sigset_t signals_{}, previous_{};
  std::mutex mutex_;  // guards what follows
  Server* server_ = nullptr;
  bool came_ = false;   // a signal
  bool ended_ = false;  // nobody waits for signals any more
  std::thread thread_;
};

}  // namespace mobilevlm::serve
