// How a training step is spread over threads and processes; flags set it.
#pragma once

namespace mobilevlm::train {

class ProcessGroup;

// What the losses of micro-batches are averaged over.
//   token  the whole step: every supervised token counts the same
//   rank   the micro-batches: each one's mean counts the same, as between the GPUs of the paper's code, where
//          a short answer weighs more if its GPU has few of them
enum class LossAverage { kToken, kRank };

// Who updates the parameters, and so who keeps optimizer state.
//   replicated  every process all of them
//   sharded     ZeRO stage 1: every process its share
enum class UpdateSharing { kReplicated, kSharded };

struct ParallelOptions {
  int threads = 0;        // 0: one per CPU, shared by the processes of this machine
  bool bfloat16 = false;  // matrix products as under a Bfloat16Guard
  LossAverage average = LossAverage::kToken;
  UpdateSharing sharing = UpdateSharing::kSharded;
  bool tells_share_of_peak = false;   // in the log: the float32 ceiling is measured
  ProcessGroup* processes = nullptr;  // outlives what uses it; null: this process alone
};

}  // namespace mobilevlm::train
