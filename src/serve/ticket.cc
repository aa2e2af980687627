#include "serve/ticket.h"

#include <utility>

namespace mobilevlm::serve {

double SecondsBetween(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

Ticket::News Ticket::Wait(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [this] { return has_news_; });
  has_news_ = false;
  return std::exchange(news_, {});
}

void Ticket::Submitted() {
  const std::lock_guard lock(mutex_);
  times_.submitted = Clock::now();
}

void Ticket::Started() {
  const std::lock_guard lock(mutex_);
  times_.started = Clock::now();
}

void Ticket::AddText(std::string_view text, std::span<const Token> tokens) {
  {
    const std::lock_guard lock(mutex_);
    if (times_.first_token == Clock::time_point()) times_.first_token = Clock::now();
    news_.text += text;
    news_.tokens.insert(news_.tokens.end(), tokens.begin(), tokens.end());
    has_news_ = true;
  }
  changed_.notify_one();
}

void Ticket::End(std::optional<Result<Answer>> answer) {
  const std::lock_guard lock(mutex_);
  times_.ended = Clock::now();
  if (answer && *answer && times_.first_token == Clock::time_point()) times_.first_token = times_.ended;
  answer_ = std::move(answer);
}

void Ticket::Announce(Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    news_.outcome = outcome;
    has_news_ = true;
  }
  changed_.notify_one();
}

}  // namespace mobilevlm::serve
