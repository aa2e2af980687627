// What the training subcommands share when they run as several processes: flags, meeting, ending together.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"
#include "train/parallel/options.h"
#include "train/parallel/process_group.h"

namespace mobilevlm::app {

struct ProcessFlags {
  train::ProcessGroupOptions group;
};

void AddProcessFlags(CLI::App& command, ProcessFlags& flags, train::ParallelOptions& parallel);

// Joins the job that the environment describes (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT; without them this
// process is alone), puts it into `parallel` and runs `work`. If another process is lost this one prints why
// and ends with kExitError; if `work` fails here the others are told.
Status RunInProcessGroup(const ProcessFlags& flags, train::ParallelOptions& parallel,
                         const std::function<Status()>& work);

}  // namespace mobilevlm::app
