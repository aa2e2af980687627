#include "quantize/policy.h"

#include <charconv>

namespace mobilevlm {
namespace {

constexpr Preset kPresets[] = {
    {"q2_k", DType::kQ2_K, 10}, {"q3_k_m", DType::kQ3_K, 12}, {"q4_0", DType::kQ4_0, 2},
    {"q4_1", DType::kQ4_1, 3},  {"q4_k_s", DType::kQ4_K, 14}, {"q4_k_m", DType::kQ4_K, 15},
    {"q5_0", DType::kQ5_0, 8},  {"q5_1", DType::kQ5_1, 9},    {"q5_k_m", DType::kQ5_K, 17},
    {"q6_k", DType::kQ6_K, 18}, {"q8_0", DType::kQ8_0, 7},
};

// The first eighth, the last eighth, and every third layer between.
bool WantsMoreBits(const Place& place) {
  const int eighth = place.layers / 8;
  return place.layer < eighth || place.layer >= 7 * place.layers / 8 || (place.layer - eighth) % 3 == 2;
}

DType AttentionValueType(const Preset& preset, const Place& place, const PolicyContext& context) {
  if (preset.name == "q2_k") return context.heads_per_kv_head >= 4 ? DType::kQ4_K : DType::kQ3_K;
  if (preset.name == "q3_k_m") return place.layer < 2 ? DType::kQ5_K : DType::kQ4_K;
  if (preset.name == "q4_k_s") return place.layer < 4 ? DType::kQ5_K : DType::kQ4_K;
  const bool medium = preset.name == "q4_k_m" || preset.name == "q5_k_m";
  return medium && WantsMoreBits(place) ? DType::kQ6_K : preset.base;
}

DType FfnDownType(const Preset& preset, const Place& place, const PolicyContext& context) {
  if (preset.name == "q2_k") return DType::kQ3_K;
  if (preset.name == "q3_k_m") return place.layer < place.layers / 16 ? DType::kQ5_K : DType::kQ4_K;
  const bool first_eighth = place.layer < place.layers / 8;
  if (preset.name == "q4_k_s") return first_eighth ? DType::kQ5_K : DType::kQ4_K;
  // Activations there have outliers, which importances turn into large errors of the other columns.
  if (preset.name == "q4_0" && context.has_importance && first_eighth) return DType::kQ4_1;
  if (preset.name == "q5_0" && context.has_importance && first_eighth) return DType::kQ5_1;
  const bool medium = preset.name == "q4_k_m" || preset.name == "q5_k_m";
  return medium && WantsMoreBits(place) ? DType::kQ6_K : preset.base;
}

}  // namespace

const Preset* FindPreset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

std::string PresetNames() {
  std::string names;
  for (const Preset& preset : kPresets) {
    if (!names.empty()) names += ", ";
    names += preset.name;
  }
  return names;
}

Place PlaceOf(const TensorSpec& spec, int layers) {
  const std::string_view name = spec.hf_name;
  Place place;
  place.layers = layers;
  constexpr std::string_view kLayers = "layers.";
  if (const size_t at = name.find(kLayers); at != std::string_view::npos) {
    const char* digits = name.data() + at + kLayers.size();
    std::from_chars(digits, name.data() + name.size(), place.layer);
  }
  if (name == "model.embed_tokens.weight") {
    place.role = Role::kEmbedding;
  } else if (name == "lm_head.weight" || name.starts_with(kHfProjectorPrefix)) {
    place.role = Role::kOutput;
  } else if (name.ends_with(".v_proj.weight")) {
    place.role = Role::kAttentionValue;
  } else if (name.ends_with(".o_proj.weight") || name.ends_with(".out_proj.weight")) {
    place.role = Role::kAttentionOutput;
  } else if (name.ends_with(".down_proj.weight") || name.ends_with(".fc2.weight")) {
    place.role = Role::kFfnDown;
  }
  return place;
}

DType PresetType(const Preset& preset, const Place& place, const PolicyContext& context) {
  switch (place.role) {
    case Role::kOutput:
      return preset.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
    case Role::kAttentionValue:
      return AttentionValueType(preset, place, context);
    case Role::kFfnDown:
      return FfnDownType(preset, place, context);
    case Role::kAttentionOutput:
      if (preset.name == "q2_k") return DType::kQ3_K;
      if (preset.name == "q3_k_m") return DType::kQ4_K;
      return preset.base;
    case Role::kEmbedding:
    case Role::kOther:
      return preset.base;
  }
  return preset.base;
}

DType FallbackType(DType type, uint64_t cols) {
  if (cols % GetDTypeInfo(type).block_size == 0) return type;
  DType smaller = DType::kF16;
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      smaller = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      smaller = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      smaller = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      smaller = DType::kQ8_0;
      break;
    default:
      break;
  }
  return cols % GetDTypeInfo(smaller).block_size == 0 ? smaller : DType::kF16;
}

}  // namespace mobilevlm
