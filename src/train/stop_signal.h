// Ctrl-C and SIGTERM as a question instead of an interruption: the training loop asks between steps,
// saves and leaves. Create it before any thread, so that all threads inherit the blocked signals. Any thread
// may ask.
#pragma once

#include <atomic>
#include <csignal>
#include <ctime>

namespace mobilevlm::train {

class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &previous_);
  }
  ~StopSignal() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // True from the first signal on.
  bool Requested() {
    const timespec now{0, 0};
    if (sigtimedwait(&signals_, nullptr, &now) > 0) requested_ = true;
    return requested_;
  }

 private:
  sigset_t signals_{};
  sigset_t previous_{};
  std::atomic<bool> requested_ = false;
};

}  // namespace mobilevlm::train
