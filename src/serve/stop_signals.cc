#include "serve/stop_signals.h"

#include <pthread.h>

#include <cstdlib>

namespace mobilevlm::serve {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, &previous_);
  thread_ = std::thread([this] { Wait(); });
}

StopSignals::~StopSignals() {
  End();
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

void StopSignals::Watch(Server& server) {
  const std::lock_guard lock(mutex_);
  server_ = &server;
}

Status StopSignals::Run() {
  Status status = server_->Run();
  End();  // before the server goes: Drain() may still be about to return
  return status;
}

void StopSignals::Wait() {
  int number = 0;
  sigwait(&signals_, &number);
  Server* server = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    came_ = true;
    server = server_;
  }
  std::signal(number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  if (server != nullptr) return server->Drain();
  std::raise(number);
  std::_Exit(128 + number);  // the first process of a container, which such signals do not end
}

void StopSignals::End() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (!came_) pthread_kill(thread_.native_handle(), SIGTERM);  // its sigwait returns
  }
  thread_.join();
}

}  // namespace mobilevlm::serve
