// PNG files through Cairo, which the world links anyway.
#pragma once

#include <string>

#include "base/result.h"
#include "image/image.h"

namespace mobilevlm::world {

// An 8-bit RGB PNG that appears complete or not at all.
Status WritePngAtomically(const std::string& path, const Image& picture);

}  // namespace mobilevlm::world
