// What a model occupies, computed from the numbers in its two files before anything large is allocated. The
// loader refuses by it, `mobilevlm inspect` shows it.
#pragma once

#include <cstddef>

#include "gguf/reader.h"
#include "mobilevlm/mobilevlm.h"
#include "schema/config.h"
#include "tensor/dtype.h"

namespace mobilevlm::engine {

// The text model with one conversation of `context` positions whose keys and values are of type `kv`.
MemoryNeed TextMemory(const GgufFile& file, const LlmConfig& llm, DType kv, size_t context);

// Vision tower and projector.
MemoryNeed MmprojMemory(const GgufFile& file, const ImageConfig& image, const VisionConfig& vision,
                        const ProjectorConfig& projector);

MemoryNeed operator+(const MemoryNeed& a, const MemoryNeed& b);

}  // namespace mobilevlm::engine
