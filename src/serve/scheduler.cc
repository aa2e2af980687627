#include "serve/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/result.h"

namespace mobilevlm::serve {
namespace {

constexpr double kMeanWeight = 0.2;                         // of the newest request
constexpr auto kIdleLook = std::chrono::milliseconds(100);  // at requests whose clients may have gone

}  // namespace

Result<std::unique_ptr<Scheduler>> Scheduler::Create(const Model& model, const SchedulerOptions& options,
                                                     Metrics& metrics) {
  MVLM_ASSIGN(Batch batch, Batch::Create(model, options.batch));
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(batch), options, metrics));
}

Scheduler::Scheduler(Batch batch, const SchedulerOptions& options, Metrics& metrics)
    : batch_(std::move(batch)), options_(options), metrics_(metrics) {
  state_.free_streams = batch_.free_streams();
  thread_ = std::thread([this] { Run(); });
}

Scheduler::~Scheduler() { Finish(); }

std::optional<Result<BatchRequest>> Scheduler::Prepare(const std::vector<Message>& messages,
                                                       const GenerateOptions& options,
                                                       Clock::time_point deadline,
                                                       const std::function<bool()>& unwanted) {
  if (!WaitToPrepare(deadline, unwanted)) return std::nullopt;
  Result<BatchRequest> request = batch_.Prepare(messages, options);
  {
    const std::lock_guard lock(prepare_mutex_);
    --preparing_;
  }
  prepare_free_.notify_one();
  return request;
}

bool Scheduler::WaitToPrepare(Clock::time_point deadline, const std::function<bool()>& unwanted) {
  std::unique_lock lock(prepare_mutex_);
  while (preparing_ >= options_.preparing) {
    if (Clock::now() >= deadline || unwanted()) return false;
    prepare_free_.wait_for(lock, kIdleLook);
  }
  ++preparing_;
  return true;
}

bool Scheduler::WouldRefuse(const std::string& client) const {
  const std::lock_guard lock(mutex_);
  return queue_.WouldRefuse(client, QueueCapacity());
}

bool Scheduler::Submit(const std::string& client, BatchRequest request, std::shared_ptr<Ticket> ticket) {
  std::optional<Job> given_up;
  {
    const std::lock_guard lock(mutex_);
    ticket->Submitted();
    const Ticket* const own = ticket.get();
    given_up = queue_.Push(client, {std::move(request), std::move(ticket)}, QueueCapacity());
    state_.queue_length = queue_.size();
    if (given_up && given_up->ticket.get() == own) return false;
  }
  if (given_up) Finish(*given_up->ticket, Outcome::kGivenUp);
  changed_.notify_all();
  return true;
}

// Those that will start at once do not wait: the engine is only in the middle of a step.
size_t Scheduler::QueueCapacity() const { return options_.queue + static_cast<size_t>(state_.free_streams); }

int Scheduler::RetryAfterSeconds() const {
  const std::lock_guard lock(mutex_);
  const double waves = static_cast<double>(queue_.size() + 1) / options_.batch.streams;
  return static_cast<int>(std::clamp(std::ceil(mean_seconds_ * waves), 1.0, 60.0));
}

void Scheduler::Finish() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Scheduler::CancelAll() {
  const std::lock_guard lock(mutex_);
  cancel_all_ = true;
  changed_.notify_all();
}

Scheduler::State Scheduler::Describe() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Scheduler::Run() {
  while (WaitForWork()) {
    DropLateAndCancelled();
    StartWaiting();
    ExpireRunning();
    batch_.Step();
    const std::lock_guard lock(mutex_);
    state_.batch = batch_.Describe();
    state_.queue_length = queue_.size();
    state_.free_streams = batch_.free_streams();
  }
}

// False when there is nothing left to do for ever.
bool Scheduler::WaitForWork() {
  std::unique_lock lock(mutex_);
  while (queue_.empty() && running_.empty()) {
    if (finishing_) return false;
    changed_.wait_for(lock, kIdleLook);
  }
  return true;
}

void Scheduler::DropLateAndCancelled() {
  std::vector<Job> dropped;
  const Clock::time_point now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    const auto matches = [&](const Job& job) {
      return cancel_all_ || job.ticket->cancelled() || job.ticket->deadline() <= now;
    };
    queue_.Take(matches, [&](Job job) { dropped.push_back(std::move(job)); });
  }
  for (const Job& job : dropped) {
    const bool late = !job.ticket->cancelled() && job.ticket->deadline() <= now;
    Finish(*job.ticket, late ? Outcome::kExpired : Outcome::kCancelled);
  }
}

void Scheduler::StartWaiting() {
  while (batch_.free_streams() > 0) {
    std::optional<Job> job;
    {
      const std::lock_guard lock(mutex_);
      job = queue_.Pop();
      state_.free_streams = batch_.free_streams() - (job ? 1 : 0);
    }
    if (!job) return;
    const std::shared_ptr<Ticket> ticket = job->ticket;
    ticket->Started();
    running_.push_back(ticket);
    batch_.Start(std::move(job->request),
                 {.on_text = [ticket](std::string_view text,
                                      std::span<const Token> tokens) { ticket->AddText(text, tokens); },
                  .on_end = [this, ticket](const Result<Answer>& answer) { Ended(ticket, answer); }});
  }
}

void Scheduler::ExpireRunning() {
  const Clock::time_point now = Clock::now();
  bool cancel_all;
  {
    const std::lock_guard lock(mutex_);
    cancel_all = cancel_all_;
  }
  for (const std::shared_ptr<Ticket>& ticket : running_) {
    if (cancel_all) ticket->Cancel();
    if (ticket->cancelled() || ticket->deadline() > now) continue;
    ticket->expired_while_running = true;
    ticket->Cancel();
  }
}

void Scheduler::Ended(const std::shared_ptr<Ticket>& ticket, const Result<Answer>& answer) {
  Outcome outcome = answer ? Outcome::kAnswered : Outcome::kFailed;
  if (answer && answer->stop == StopReason::kCancelled) {
    outcome = ticket->expired_while_running ? Outcome::kExpired : Outcome::kCancelled;
  }
  std::erase(running_, ticket);
  Finish(*ticket, outcome, answer);
  const std::lock_guard lock(mutex_);
  const double seconds = SecondsBetween(ticket->times().started, ticket->times().ended);
  mean_seconds_ += kMeanWeight * (seconds - mean_seconds_);
}

void Scheduler::Finish(Ticket& ticket, Outcome outcome, std::optional<Result<Answer>> answer) {
  ticket.End(std::move(answer));
  metrics_.CountEnd(ticket, outcome);
  ticket.Announce(outcome);
}

}  // namespace mobilevlm::serve
