// 8-bit RGB PNG files. The same picture gives the same bytes with the same libpng and zlib.
#pragma once

#include <string>

#include "base/result.h"
#include "image/image.h"

namespace mobilevlm {

Result<std::string> EncodePng(const Image& image);

// The file appears complete or not at all.
Status WritePng(const std::string& path, const Image& image);

}  // namespace mobilevlm
