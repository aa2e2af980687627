// Configs into GGUF metadata: what read_config.h reads back. The mmproj gets the keys of the files in
// circulation (docs/format.md).
#pragma once

#include <cstdint>
#include <string_view>

#include "gguf/writer.h"
#include "schema/config.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// general.file_type, which GGUF tools print: what most of the weights are stored as.
struct FileType {
  uint32_t number = 0;
  bool quantised = false;

  FileType(DType matrices);  // implicit: a file of one type is named by it
  FileType(uint32_t file_type, bool is_quantised) : number(file_type), quantised(is_quantised) {}
};

// `name` becomes general.name.

// All of architecture "llama" except the vocabulary.
void WriteLlmConfig(GgufWriter& out, std::string_view name, FileType type, const LlmConfig& llm);

// All of architecture "clip". Of the blocks only the used ones are counted; clip.vision.feature_layer says so
// again, for readers that would otherwise leave the last one out.
void WriteMmprojConfig(GgufWriter& out, std::string_view name, FileType type, const ImageConfig& image,
                       const VisionConfig& vision, ProjectorType projector);

}  // namespace mobilevlm
