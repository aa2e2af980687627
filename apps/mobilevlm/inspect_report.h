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

namespace mobilevlm::app {

struct TensorLine {
  std::string name;
  std::string type;
  std::vector<uint64_t> shape;  // outermost first
  uint64_t bytes = 0;
};

// Bytes the engine will need. Weights are the tensors that are used; scratch is an upper estimate of the
// activations of one picture (mmproj) or of a 512-token step of the prompt (text model).
struct MemoryEstimate {
  uint64_t weights = 0;
  uint64_t kv_per_1024_tokens = 0;  // f16 keys and values; 0 for an mmproj
  uint64_t scratch = 0;
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
  std::optional<MemoryEstimate> memory;   // only of a file that would load
};

// A file that begins like GGUF is read as such, a name in .safetensors as safetensors; else an Error.
Result<InspectReport> InspectFile(const std::string& path);

std::string ReportText(const InspectReport& report);
std::string ReportJson(const InspectReport& report);

}  // namespace mobilevlm::app
