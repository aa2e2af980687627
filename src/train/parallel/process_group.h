// The processes of one training job and what they do together: PyTorch's c10d with Gloo between CPUs (NCCL
// between GPUs where the libtorch at hand has it).
//
// All processes call the same collectives in the same order. Sums are the same to the bit on every process.
//
// Thread contract: one caller at a time; the operations run on threads of the group.
//
// Failure: a process that dies or hangs is noticed by Heartbeat. `on_lost` is told once and usually ends the
// program. A collective that cannot complete throws PeerLost, which src/train turns into an Error at its
// edge.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/parallel/environment.h"

namespace at {
class Tensor;
}

namespace mobilevlm::train {

class PeerLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ProcessGroupOptions {
  int join_seconds = 300;    // how long processes wait for each other at the start
  int patience = 10;         // seconds without a sign of life until a process counts as lost
  std::string backend = "";  // "gloo", "nccl"; empty: gloo
  std::function<void(const std::string& message)> on_lost = {};
};

class ProcessGroup {
 public:
  // One process of its own: every collective returns at once.
  static std::unique_ptr<ProcessGroup> Alone();
  // Meets the others at environment.master_address. The connections between processes use the interface that
  // leads there, or the one that GLOO_SOCKET_IFNAME names. The program ignores SIGPIPE from then on.
  static Result<std::unique_ptr<ProcessGroup>> Join(const ProcessEnvironment& environment,
                                                    const ProcessGroupOptions& options);
  // Says goodbye; rank 0 waits for the goodbyes of the others.
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  // The collectives that this build can use: "gloo", and "nccl" if configured with a libtorch that has it.
  static const std::vector<std::string>& Backends();

  int rank() const { return environment_.rank; }
  int size() const { return environment_.size; }
  int local_rank() const { return environment_.local_rank; }
  int local_size() const { return environment_.local_size; }
  // CPUs of this machine for each of its processes, at least one.
  int threads_per_process() const;
  bool alone() const { return environment_.size == 1; }
  bool first() const { return environment_.rank == 0; }

  // An operation that runs while the caller computes. Wait() before its tensors are read or written again.
  class Pending {
   public:
    Pending() = default;
    void Wait();        // throws PeerLost
    bool Done() const;  // true also after a failure: Wait() tells
   private:
    friend class ProcessGroup;
    struct Impl;
    std::shared_ptr<Impl> impl_;  // null: complete
  };

  // tensor += the others' tensors. Contiguous, of the same size everywhere.
  Pending AllReduceSum(const at::Tensor& tensor);
  // received[r] = what rank r sent to this process: sent and received are [size * n], contiguous.
  Pending AllToAll(const at::Tensor& sent, const at::Tensor& received);
  // whole = the parts of rank 0, 1, ...: part [n], whole [size * n], contiguous.
  Pending AllGather(const at::Tensor& part, const at::Tensor& whole);
  // tensor = rank `from`'s.
  Pending Broadcast(const at::Tensor& tensor, int from);

  // Sums of every entry over all processes, in place.
  void Sum(std::vector<double>& values);
  // Returns when all processes have come here.
  void Barrier();
  // Runs `work` on one process of each machine, then lets all others go on; they find what it left (files).
  // A failure there ends all.
  Status OncePerMachine(const std::function<Status()>& work);
  // Returns when all have come here with their part of some work; a failure of one ends all.
  Status Together(Status own);
  // The same value everywhere: rank 0's.
  int64_t Agree(int64_t value);

  // Before this process ends with an error: the others end with its message instead of waiting.
  void Publish(const std::string& message);

 private:
  struct Connection;
  ProcessGroup(ProcessEnvironment environment, std::unique_ptr<Connection> connection);
  static Result<std::unique_ptr<ProcessGroup>> Meet(const ProcessEnvironment& environment,
                                                    const ProcessGroupOptions& options);

  ProcessEnvironment environment_;
  std::unique_ptr<Connection> connection_;  // null: alone
};

}  // namespace mobilevlm::train
