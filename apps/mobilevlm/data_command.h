// `mobilevlm data`, where the library of annotation files is built in.
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace mobilevlm::app {

void AddDataCommand(CLI::App& app, Status& status);

}  // namespace mobilevlm::app
