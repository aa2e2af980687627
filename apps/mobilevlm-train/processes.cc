#include "processes.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "command_line.h"
#include "train/parallel/environment.h"

namespace mobilevlm::app {

void AddProcessFlags(CLI::App& command, ProcessFlags& flags, train::ParallelOptions& parallel) {
  const std::map<std::string, train::UpdateSharing> sharings{{"off", train::UpdateSharing::kReplicated},
                                                             {"on", train::UpdateSharing::kSharded}};
  command
      .add_option("--shard-optimizer", parallel.sharing,
                  "of several processes each keeps its share of the optimizer's state (ZeRO stage 1)")
      ->transform(CLI::CheckedTransformer(sharings))
      ->default_str("on");
  command.add_option("--backend", flags.group.backend, "that carries gradients between processes")
      ->check(CLI::IsMember(train::ProcessGroup::Backends()))
      ->default_str("gloo");
  command
      .add_option("--peer-timeout", flags.group.patience,
                  "seconds without a sign of life until a process counts as lost and the job ends")
      ->check(WholeNumber(2, 3600))
      ->capture_default_str();
  command
      .add_option("--join-timeout", flags.group.join_seconds, "seconds that processes wait for each other")
      ->check(WholeNumber(1, 86400))
      ->capture_default_str();
}

Status RunInProcessGroup(const ProcessFlags& flags, train::ParallelOptions& parallel,
                         const std::function<Status()>& work) {
  if (flags.group.backend == "nccl") {
    return Fail(
        "--backend nccl: it carries tensors of GPUs, and this program's models are on the CPU; wanted gloo");
  }
  MVLM_ASSIGN(const train::ProcessEnvironment environment, train::ReadProcessEnvironment());
  train::ProcessGroupOptions options = flags.group;
  options.on_lost = [](const std::string& message) {
    // Other threads may wait for the lost process for ever: nothing can be ended in order.
    fmt::print(stderr, "mobilevlm-train: {}; the last checkpoint is kept, the same command continues\n",
               message);
    std::fflush(stderr);
    std::_Exit(kExitError);
  };
  MVLM_ASSIGN(const std::unique_ptr<train::ProcessGroup> group,
              train::ProcessGroup::Join(environment, options));
  parallel.processes = group.get();
  parallel.tells_share_of_peak = true;
  Status status;
  try {
    status = work();
  } catch (const std::bad_alloc&) {  // the others would wait for this process
    group->Publish("out of memory");
    throw;
  }
  if (!status) group->Publish(status.error().message);
  parallel.processes = nullptr;
  return status;
}

}  // namespace mobilevlm::app
