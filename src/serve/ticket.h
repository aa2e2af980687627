// Ticket: one request on its way through the scheduler, as seen by the connection that waits for it.
//
// Thread contract: the engine's thread writes, the connection's thread reads, Cancel() is for anyone.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::serve {

using Clock = std::chrono::steady_clock;

double SecondsBetween(Clock::time_point begin, Clock::time_point end);

// How a request ended.
enum class Outcome {
  kAnswered,   // there is an Answer
  kFailed,     // the engine could not: there is an Error
  kGivenUp,    // another client's request took its place in the full queue
  kExpired,    // its deadline passed
  kCancelled,  // the client went away, or the server had to stop
};

class Ticket {
 public:
  explicit Ticket(Clock::time_point deadline) : deadline_(deadline) {}

  // What happened since the last look.
  struct News {
    std::string text;
    std::vector<Token> tokens;
    std::optional<Outcome> outcome;  // the last news
  };
  // Waits until there is some, at most so long.
  News Wait(std::chrono::milliseconds most);

  // After an outcome; `answer` is set for kAnswered and kFailed.
  struct Times {
    Clock::time_point submitted{}, started{}, first_token{}, ended{};  // {}: did not happen
  };
  const std::optional<Result<Answer>>& answer() const { return answer_; }
  const Times& times() const { return times_; }

  void Cancel() { cancel_ = true; }
  const std::atomic<bool>* cancel() const { return &cancel_; }
  bool cancelled() const { return cancel_; }
  Clock::time_point deadline() const { return deadline_; }

  // For the scheduler.
  void Submitted();
  void Started();
  void AddText(std::string_view text, std::span<const Token> tokens);
  void End(std::optional<Result<Answer>> answer);  // fills answer() and times(), then
  void Announce(Outcome outcome);                  // wakes the connection
  bool expired_while_running = false;              // the engine's thread only

 private:
  const Clock::time_point deadline_;
  std::atomic<bool> cancel_{false};

  std::mutex mutex_;  // guards what follows; after the outcome nothing is written any more
  std::condition_variable changed_;
  News news_;
  bool has_news_ = false;
  std::optional<Result<Answer>> answer_;
  Times times_;
};

}  // namespace mobilevlm::serve
