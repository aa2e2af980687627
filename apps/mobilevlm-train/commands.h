// The subcommands of `mobilevlm-train`, one file each; see apps/mobilevlm/commands.h for the pattern.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "command_line.h"

namespace mobilevlm::app {

void AddMiniCommand(CLI::App& app, Status& status);
void AddNetworkCommand(CLI::App& app, Status& status);
void AddPlanCommand(CLI::App& app, Status& status);
void AddPlotCommand(CLI::App& app, Status& status);
void AddReportCommand(CLI::App& app, Status& status);
void AddRunCommand(CLI::App& app, Status& status);
void AddScoreCommand(CLI::App& app, Status& status);

// --set, and flags of their own for the keys that are set most.
struct RecipeFlags {
  std::vector<std::string> assignments;            // of --set
  std::map<std::string, std::string> short_forms;  // by key; empty: not given

  std::vector<std::string> overrides() const;  // KEY=VALUE, in order
};
void AddRecipeFlags(CLI::App& command, RecipeFlags& flags);

}  // namespace mobilevlm::app
