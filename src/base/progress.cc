#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/units.h"

namespace mobilevlm {

Progress::Progress(std::string label, uint64_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()) {}

Progress::~Progress() {
  if (printed_ && terminal_) std::fputc('\n', stderr);
}

void Progress::Update(uint64_t done, std::string_view detail) {
  const Clock::time_point now = Clock::now();
  const double interval = terminal_ ? 0.1 : 10.0;
  if (printed_ && done < total_ && std::chrono::duration<double>(now - last_).count() < interval) return;
  if (!terminal_ && !printed_ && done < total_ &&
      std::chrono::duration<double>(now - start_).count() < interval) {
    return;
  }
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string line = fmt::format("{} {}/{}", label_, done, total_);
  if (done > 0 && rate > 0) {
    line += fmt::format(" {} % {:.3g}/s {} left", total_ > 0 ? 100 * done / total_ : 100, rate,
                        FormatDuration(static_cast<double>(total_ - done) / rate));
  }
  if (!detail.empty()) line += fmt::format(" {}", detail);
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r" : "", line, terminal_ ? "\x1b[K" : "\n");
  std::fflush(stderr);
  printed_ = true;
  last_ = now;
}

}  // namespace mobilevlm
