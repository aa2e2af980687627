// Configs into GGUF metadata: what read_config.h reads back. The mmproj gets the keys of the files in
// circulation (docs/format.md).
#pragma once

#include <string_view>

#include "gguf/writer.h"
#include "schema/config.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// `name` becomes general.name, `matrices` (the type that most of the weights have) general.file_type.

// All of architecture "llama" except the vocabulary.
void WriteLlmConfig(GgufWriter& out, std::string_view name, DType matrices, const LlmConfig& llm);

// All of architecture "clip".
void WriteMmprojConfig(GgufWriter& out, std::string_view name, DType matrices, const ImageConfig& image,
                       const VisionConfig& vision, ProjectorType projector);

}  // namespace mobilevlm
