// The subcommands of `mobilevlm`, one file each.
//
// Every Add...Command registers its flags on `app` and a callback that does the work and stores how it
// ended in `status`; main.cc prints an Error as one line and exits with 2.
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace mobilevlm::app {

void AddRunCommand(CLI::App& app, Status& status);
void AddChatCommand(CLI::App& app, Status& status);
void AddInspectCommand(CLI::App& app, Status& status);
void AddTokenizeCommand(CLI::App& app, Status& status);
void AddTraceCommand(CLI::App& app, Status& status);
void AddConvertCommand(CLI::App& app, Status& status);
void AddWorldCommand(CLI::App& app, Status& status);
void AddEvalCommand(CLI::App& app, Status& status);

}  // namespace mobilevlm::app
