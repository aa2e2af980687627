// Which type each matrix gets: the presets that users of GGUF files know by name, with the per-tensor choices
// of llama.cpp's llama-quantize for models of the LLaMA family. Some matrices are worth more bits: the output
// matrix, and attention's values and the way down of the MLP, above all in the first and last layers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/tensors.h"
#include "tensor/dtype.h"

namespace mobilevlm {

struct Preset {
  std::string_view name;  // "q4_k_m"
  DType base;             // of matrices without a reason for another type
  uint32_t file_type;     // general.file_type, as llama.cpp numbers the presets
};

const Preset* FindPreset(std::string_view name);  // nullptr if there is none
std::string PresetNames();                        // "q2_k, q3_k_m, ..."

// What a matrix does in the model; see RoleOf.
enum class Role { kOther, kEmbedding, kOutput, kAttentionValue, kAttentionOutput, kFfnDown };

struct Place {
  Role role = Role::kOther;
  int layer = 0;
  int layers = 0;  // of this stack: the decoder or the vision tower
};

// From the Hugging Face name, which says what a matrix is even where a file calls fc1 "ffn_down". The
// projector's matrices count as output: they make the visual tokens, and are small.
Place PlaceOf(const TensorSpec& spec, int layers);

struct PolicyContext {
  int heads_per_kv_head = 1;  // attn_v is that much smaller than attn_q
  bool has_importance = false;
};

DType PresetType(const Preset& preset, const Place& place, const PolicyContext& context);

// `type`, or what is usual instead where a row of `cols` elements is no whole number of its blocks: a format
// of 32-blocks of about the same size, else F16.
DType FallbackType(DType type, uint64_t cols);

}  // namespace mobilevlm
