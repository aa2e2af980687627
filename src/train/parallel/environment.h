// Who this process is among those of one training job: the environment variables that torchrun, Slurm
// scripts and scripts/launch set.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace mobilevlm::train {

struct ProcessEnvironment {
  int rank = 0;        // RANK, in [0, size)
  int size = 1;        // WORLD_SIZE
  int local_rank = 0;  // LOCAL_RANK: the number among the processes of the same machine; absent: the rank
  int local_size = 1;  // LOCAL_WORLD_SIZE: processes on this machine, which share its CPUs; absent: 1
  std::string master_address;  // MASTER_ADDR: where rank 0 runs
  uint16_t master_port = 0;    // MASTER_PORT: where rank 0 listens
};

using EnvironmentLookup = std::function<std::optional<std::string>(const char* name)>;

// Neither RANK nor WORLD_SIZE set: one process alone. An incomplete or impossible set is an Error that names
// the variable. The default lookup reads the environment of this process.
Result<ProcessEnvironment> ReadProcessEnvironment();
Result<ProcessEnvironment> ReadProcessEnvironment(const EnvironmentLookup& lookup);

}  // namespace mobilevlm::train
