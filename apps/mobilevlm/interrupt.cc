#include <csignal>

#include "commands.h"

namespace mobilevlm::app {
namespace {

// A signal handler reaches nothing but static storage; this flag is the one exception to "no globals".
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch lock-free atomics only");

void OnInterrupt(int signal_number) {
  if (interrupted.exchange(true)) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
  }
}

}  // namespace

std::atomic<bool>& InterruptFlag() {
  struct sigaction action {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // half-written output is completed; `chat` waits in poll(), which ends
  sigaction(SIGINT, &action, nullptr);
  return interrupted;
}

bool Interrupted() { return interrupted.load(); }

}  // namespace mobilevlm::app
