// What `mobilevlm inspect` finds out about a file or directory, before it is printed as text or JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "mobilevlm/mobilevlm.h"

namespace mobilevlm::app {

struct TensorLine {
  std::string name;
  std::string type;
  std::vector<uint64_t> shape;  // outermost first
  uint64_t bytes = 0;
};

struct InspectReport {
  std::string path;
  std::string format;  // "GGUF version 3", "safetensors", "Hugging Face, pytorch_model.bin (691 tensors)"
  std::string kind;    // "text model", "mmproj", "MobileVLM V2", "LoRA adapter", ...
  uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> config;
  std::vector<TensorLine> tensors;
  std::vector<std::string> problems;      // wrong or missing keys, missing or wrong tensors
  std::vector<std::string> unused;        // tensors that official checkpoints store and nothing needs
  std::vector<std::string> unexpected;    // other tensors that the schema does not name
  std::vector<std::string> unknown_keys;  // metadata that nothing here knows
  // What the engine will need for it, with an f16 cache for the whole context; only of a file that would
  // load.
  std::optional<MemoryNeed> memory;
};

// By name: .safetensors or .bin.
bool IsWeightFile(std::string_view path);

// A directory, a weight file or a GGUF file; else an Error. `base`: see InspectDirectory.
Result<InspectReport> InspectFile(const std::string& path, const std::string& base);

std::string ReportText(const InspectReport& report);
std::string ReportJson(const InspectReport& report);

}  // namespace mobilevlm::app
