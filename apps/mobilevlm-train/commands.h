// The subcommands of `mobilevlm-train`, one file each; see apps/mobilevlm/commands.h for the pattern.
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"
#include "command_line.h"

namespace mobilevlm::app {

void AddMiniCommand(CLI::App& app, Status& status);
void AddNetworkCommand(CLI::App& app, Status& status);
void AddPlanCommand(CLI::App& app, Status& status);
void AddPlotCommand(CLI::App& app, Status& status);

}  // namespace mobilevlm::app
