// mobilevlm-train network: how fast the processes of a job add up gradients; the numbers that `plan` needs.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "processes.h"
#include "train/parallel/network_probe.h"

namespace mobilevlm::app {

void AddNetworkCommand(CLI::App& app, Status& status) {
  CLI::App* command =
      app.add_subcommand("network",
                         "time of all-reduce between the processes of a job\n\n"
                         "Example:\n"
                         "  scripts/launch --nproc-per-node 4 build/train/bin/mobilevlm-train network");
  const auto job = std::make_shared<ProcessFlags>();
  const auto megabytes = std::make_shared<std::vector<double>>(std::vector<double>{0.001, 1, 25, 100});
  const auto json = std::make_shared<bool>(false);
  command->add_option("--megabytes", *megabytes, "sizes to time")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--json", *json, "machine-readable");
  const auto parallel = std::make_shared<train::ParallelOptions>();
  AddProcessFlags(*command, *job, *parallel);
  command->callback([=, &status] {
    status = RunInProcessGroup(*job, *parallel, [&]() -> Status {
      nlohmann::json lines = nlohmann::json::array();
      for (const double size : *megabytes) {
        const train::AllReduceTime time = train::MeasureAllReduce(*parallel->processes, size * 1e6);
        if (!parallel->processes->first()) continue;
        lines.push_back({{"processes", parallel->processes->size()},
                         {"bytes", time.bytes},
                         {"seconds", time.seconds},
                         {"ring_bytes_per_second", time.ring_bandwidth}});
        if (!*json) {
          fmt::print("{} processes, {:>9.3f} MB: {:>9.3f} ms, {:.2f} GB/s each way\n",
                     parallel->processes->size(), time.bytes / 1e6, time.seconds * 1e3,
                     time.ring_bandwidth / 1e9);
        }
      }
      if (*json && parallel->processes->first()) fmt::print("{}\n", lines.dump(2));
      return {};
    });
  });
}

}  // namespace mobilevlm::app
