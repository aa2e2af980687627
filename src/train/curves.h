// The learning curves of a run, drawn from its logs.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm::train {

// Reads DIR/<stage>/log.jsonl of every stage that has one and draws two panels a stage, loss and validation,
// into one PNG file. A run without any log is an Error.
Status PlotRun(const std::string& directory, const std::string& png_path);

}  // namespace mobilevlm::train
