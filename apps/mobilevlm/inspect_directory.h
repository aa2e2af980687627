// `mobilevlm inspect` of what has no schema of its own inside: Hugging Face directories, LoRA adapters,
// single weight files.
#pragma once

#include <string>

#include "inspect_report.h"

namespace mobilevlm::app {

// A model directory, a CLIP directory or a LoRA adapter, told apart by their files. What is missing or does
// not fit the schema becomes a problem of the report; a directory that is none of these is an Error. `base`
// may name the model that an adapter was trained on, which is then compared with it.
Result<InspectReport> InspectDirectory(const std::string& path, const std::string& base);

// One safetensors or torch .bin file: its tensors as they are.
Result<InspectReport> InspectWeightFile(const std::string& path);

}  // namespace mobilevlm::app
