// What will become of every tensor of a file, decided before a byte is written: `mobilevlm quantize
// --dry-run` prints it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/reader.h"
#include "quantize/policy.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// "blk.*.attn_v.weight" -> Q6_K; * stands for any text.
using TypeOverride = std::pair<std::string, DType>;

struct QuantizeOptions {
  const Preset* preset = nullptr;
  std::vector<TypeOverride> overrides;  // the last match wins
  bool requantize = false;              // read matrices that are quantised already, too
  bool has_importance = false;
};

struct TensorPlan {
  const GgufTensor* tensor = nullptr;
  DType type = DType::kF32;  // that of the file to be written
  std::string note;          // why it is not what was asked for; usually empty

  bool changes() const { return type != tensor->type; }
  uint64_t bytes() const;  // as `type`
};

struct QuantizePlan {
  std::vector<TensorPlan> tensors;  // in the order of the file
  uint32_t file_type = 0;

  uint64_t bytes() const;
};

// `file` is a text model or an mmproj that the engine would load: an Error names the first tensor that is
// missing or wrong, already quantised without options.requantize, or an override that fits nothing or that
// the engine could not load (schema/tensors.h says what may be quantised; the rest stays as it is).
Result<QuantizePlan> PlanQuantization(const GgufFile& file, const QuantizeOptions& options);

// "NAME=TYPE", TYPE as GGUF tools print it, in any case.
Result<TypeOverride> ParseTypeOverride(const std::string& text);

}  // namespace mobilevlm
