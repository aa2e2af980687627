// What `mobilevlm inspect` finds out about a file, before it is printed as text or JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"
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
  std::string format;  // "GGUF version 3", "safetensors"
  std::string kind;    // "text model", "mmproj", "vocabulary only", ...
  uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> config;
  std::vector<TensorLine> tensors;
  std::vector<std::string> problems;      // wrong or missing keys, missing or wrong tensors
  std::vector<std::string> unexpected;    // tensors that the schema does not name
  std::vector<std::string> unknown_keys;  // metadata that nothing here knows
  // What the engine will need for it, with an f16 cache for the whole context; only of a file that would
  // load.
  std::optional<MemoryNeed> memory;
};

// A file that begins like GGUF is read as such, a name in .safetensors as safetensors; else an Error.
Result<InspectReport> InspectFile(const std::string& path);

std::string ReportText(const InspectReport& report);
std::string ReportJson(const InspectReport& report);

}  // namespace mobilevlm::app
