// From a Hugging Face directory to the two GGUF files that the engine and the community's tools read:
// OUT_DIR/text.gguf (architecture "llama", with the vocabulary) and OUT_DIR/mmproj.gguf (architecture
// "clip", the 19 keys and the legacy ffn names of the files in circulation). docs/format.md describes both.
//
// Only the vision blocks that are used are written, without post_layernorm, so that block_count is the
// number of blocks to run. Which tensor becomes what is read from schema/tensors.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/tensors.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct ConvertOptions {
  std::string hf_dir;
  std::string out_dir;  // created if missing
  // Of the matrices; F32, F16 or Q8_0. Rows that are no whole Q8_0 blocks stay F16. Convolutions and the
  // position table are F32 if F32 is asked for, else F16; vectors are always F32.
  DType text_type = DType::kF16;
  DType vision_type = DType::kF16;
};

std::optional<DType> ParseConvertType(std::string_view name);  // "f32", "f16", "q8_0"

Status ConvertHfDirectory(const ConvertOptions& options);

// How a tensor of the table is stored when `matrices` is asked for.
DType StoredType(const TensorSpec& spec, DType matrices);

// kRopeRows of schema/tensors.h: rows of `values` [heads * head_dim, cols] from Hugging Face order to GGUF's.
std::vector<float> PermuteRopeRows(const std::vector<float>& values, int heads, size_t rows, size_t cols);

}  // namespace mobilevlm
