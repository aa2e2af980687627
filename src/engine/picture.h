// Pictures from outside -> pixels.
#pragma once

#include "base/result.h"
#include "image/image.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::engine {

// Reads and decodes `picture`; nothing is resized yet. An Error names the file and what is wrong with it.
Result<Image> LoadPicture(const Picture& picture);

}  // namespace mobilevlm::engine
