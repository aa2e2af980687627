// What a conversion stores its weights as: one plain type, or one of the quantiser's presets.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "quantize/policy.h"
#include "schema/config.h"
#include "schema/tensors.h"
#include "schema/write_config.h"
#include "tensor/dtype.h"

namespace mobilevlm {

// Norms, biases and the class embedding are F32 always. Convolutions and the position table are F16, or F32
// where matrices are F32 or BF16: llama.cpp multiplies no BF16 convolution, and F32 loses nothing of it.
class OutputType {
 public:
  OutputType(DType plain) : plain_(plain) {}              // implicit: F32, F16 or BF16 of all matrices
  OutputType(const Preset& preset) : preset_(&preset) {}  // implicit: as `mobilevlm quantize` would choose

  // "f32", "f16", "bf16" or a preset's name; an Error lists them.
  static Result<OutputType> Parse(std::string_view name);
  static std::string Names();

  // Of one tensor of a stack of `layers`. Rows that are no whole blocks get the preset's fallback.
  DType Of(const TensorSpec& spec, int layers, const PolicyContext& context) const;
  FileType file_type() const;

 private:
  DType plain_ = DType::kF16;
  const Preset* preset_ = nullptr;
};

}  // namespace mobilevlm
