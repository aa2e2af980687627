#include <csignal>
#include <memory>
#include <optional>

#include "base/progress.h"
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

std::function<Status(uint64_t done, uint64_t total)> ShowMegabytes(const std::string& label,
                                                                   const std::string& consequence) {
  InterruptFlag();
  struct Shown {
    std::optional<Progress> line;
    uint64_t megabytes = 0;
  };
  const auto shown = std::make_shared<Shown>();
  return [shown, label, consequence](uint64_t done, uint64_t total) -> Status {
    constexpr uint64_t kMegabyte = 1'000'000;
    if (Interrupted()) return Fail("interrupted: {}", consequence);
    if (done / kMegabyte == shown->megabytes) return {};
    shown->megabytes = done / kMegabyte;
    if (!shown->line) shown->line.emplace(label + ", MB", total / kMegabyte);
    shown->line->Update(shown->megabytes);
    return {};
  };
}

}  // namespace mobilevlm::app
