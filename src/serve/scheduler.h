// Scheduler: requests from many connections, answered by one engine thread that decodes them together.
//
//   connections --Prepare, Submit--> fair queue --free stream--> Batch --Step, Step ...--> tickets
//
// Thread contract: everything from any threads.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mobilevlm/batch.h"
#include "serve/fair_queue.h"
#include "serve/metrics.h"
#include "serve/ticket.h"

namespace mobilevlm::serve {

struct SchedulerOptions {
  BatchOptions batch;
  size_t queue = 64;  // requests that may wait for a stream
  int preparing = 2;  // calls of Prepare that work at the same time
};

class Scheduler {
 public:
  static Result<std::unique_ptr<Scheduler>> Create(const Model& model, const SchedulerOptions& options,
                                                   Metrics& metrics);
  ~Scheduler();  // Finish()

  // Checks a request: Batch::Prepare, for a few callers at a time, so that decoding pictures takes a bounded
  // amount of memory. Nothing if its turn did not come before the deadline, or before `unwanted`, asked now
  // and then, said that nobody waits for it.
  std::optional<Result<BatchRequest>> Prepare(const std::vector<Message>& messages,
                                              const GenerateOptions& options, Clock::time_point deadline,
                                              const std::function<bool()>& unwanted);

  // Whether `client`'s request would find the queue full, asked before work is put into it.
  bool WouldRefuse(const std::string& client) const;

  // False: the queue is full. `request` was prepared with the ticket's cancel flag. The ticket ends in any
  // other case.
  bool Submit(const std::string& client, BatchRequest request, std::shared_ptr<Ticket> ticket);

  // Makes the engine look at tickets that were cancelled.
  void Wake() { changed_.notify_all(); }

  // About how long until a place in the queue is free again: at least 1, at most 60 seconds.
  int RetryAfterSeconds() const;

  // Answers what was submitted, then ends the thread. Nothing may be submitted any more.
  void Finish();
  // The same at once: what is running is cancelled.
  void CancelAll();

  struct State {
    BatchStats batch;
    size_t queue_length = 0;
    int free_streams = 0;
  };
  State Describe() const;

 private:
  struct Job {
    BatchRequest request;
    std::shared_ptr<Ticket> ticket;
  };
  Scheduler(Batch batch, const SchedulerOptions& options, Metrics& metrics);

  void Run();
  bool WaitToPrepare(Clock::time_point deadline, const std::function<bool()>& unwanted);
  bool WaitForWork();
  size_t QueueCapacity() const;  // under mutex_
  void DropLateAndCancelled();
  void StartWaiting();
  void ExpireRunning();
  void Ended(const std::shared_ptr<Ticket>& ticket, const Result<Answer>& answer);
  void Finish(Ticket& ticket, Outcome outcome, std::optional<Result<Answer>> answer = std::nullopt);

  Batch batch_;  // Prepare: anyone; else the engine's thread
  const SchedulerOptions options_;
  Metrics& metrics_;
  std::vector<std::shared_ptr<Ticket>> running_;  // the engine's thread

  std::mutex prepare_mutex_;
  std::condition_variable prepare_free_;
  int preparing_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  FairQueue<Job> queue_;
  bool finishing_ = false;
  bool cancel_all_ = false;
  double mean_seconds_ = 1;  // a request's time on a stream, lately
  State state_;
  std::thread thread_;
};

}  // namespace mobilevlm::serve
