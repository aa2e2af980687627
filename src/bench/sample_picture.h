// A picture to measure with: as large and about as hard to decode as a photograph from a phone's gallery.
#pragma once

#include <string>

#include "base/result.h"
#include "image/image.h"

namespace mobilevlm::bench {

Image SamplePicture();  // 640 x 488, the same pixels every time

// Baseline JPEG, quality 90.
Result<std::string> EncodeJpeg(const Image& picture);

}  // namespace mobilevlm::bench
