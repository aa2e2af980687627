// Telling two models apart without reading gigabytes.
#pragma once

#include <string>

#include "base/content_hash.h"

namespace mobilevlm::app {

// Of the size, the first and the last MiB of a file.
Hash128 FileFingerprint(const std::string& path);

}  // namespace mobilevlm::app
