// Directories that files are written to.
#pragma once

#include <string>

#include "base/result.h"

namespace mobilevlm {

// Makes the directory, and those above it, if they are missing.
Status MakeDirectories(const std::string& path);

}  // namespace mobilevlm
