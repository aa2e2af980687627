// Whole files into memory, with an upper limit so that a wrong path cannot exhaust it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace mobilevlm {

// The bytes of `path` ("-" is standard input). More than `limit` bytes is an Error.
Result<std::string> ReadFile(const std::string& path, uint64_t limit);

}  // namespace mobilevlm
