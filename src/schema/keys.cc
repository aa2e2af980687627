#include "schema/keys.h"

#include <algorithm>

#include "base/check.h"

namespace mobilevlm {
namespace {

constexpr auto kRequired = KeyRule::kRequired;
constexpr auto kDefault = KeyRule::kDefault;
constexpr auto kDerived = KeyRule::kDerived;
constexpr auto kNotUsed = KeyRule::kNotUsed;

constexpr KeySpec kTextKeys[] = {
    {"general.architecture", kRequired, 0, 0, 0, "\"llama\""},
    {"llama.context_length", kRequired, 1, 1 << 20, 0, "positions the model was trained for"},
    {"llama.embedding_length", kRequired, 1, 65536, 0, "hidden size"},
    {"llama.block_count", kRequired, 1, 1024, 0, "decoder layers"},
    {"llama.feed_forward_length", kRequired, 1, 1 << 20, 0, "SwiGLU width"},
    {"llama.attention.head_count", kRequired, 1, 1024, 0, "query heads"},
    {"llama.attention.head_count_kv", kDerived, 1, 1024, 0, "attention.head_count"},
    {"llama.attention.layer_norm_rms_epsilon", kRequired, 1e-12, 0.1, 0, ""},
    {"llama.attention.key_length", kDerived, 1, 65536, 0, "embedding_length / head_count"},
    {"llama.attention.value_length", kDerived, 1, 65536, 0, "embedding_length / head_count"},
    {"llama.rope.dimension_count", kDerived, 1, 65536, 0, "embedding_length / head_count"},
    {"llama.rope.freq_base", kDefault, 1, 1e9, 10000, ""},
    {"llama.rope.scaling.type", kDefault, 0, 0, 0, "\"none\", the only one supported"},
    {"llama.rope.scaling.factor", kDefault, 1, 1, 1, "read only to refuse scaled files"},
    {"llama.rope.scale_linear", kDefault, 1, 1, 1, "old name of rope.scaling.factor"},
    {"llama.expert_count", kDefault, 0, 0, 0, "mixtures of experts are not supported"},
    {"llama.vocab_size", kDerived, 1, 1 << 24, 0, "number of tokenizer.ggml.tokens"},
    {"tokenizer.ggml.model", kRequired, 0, 0, 0, "\"llama\" (SentencePiece)"},
    {"tokenizer.ggml.tokens", kRequired, 0, 0, 0, "pieces"},
    {"tokenizer.ggml.scores", kRequired, 0, 0, 0, "merge scores"},
    {"tokenizer.ggml.token_type", kRequired, 0, 0, 0, "1 normal, 2 unknown, 3 control, 6 byte"},
    {"tokenizer.ggml.bos_token_id", kDefault, 0, 1 << 24, 1, ""},
    {"tokenizer.ggml.eos_token_id", kDefault, 0, 1 << 24, 2, ""},
    {"tokenizer.ggml.unknown_token_id", kDefault, 0, 1 << 24, 0, ""},
    {"tokenizer.ggml.padding_token_id", kNotUsed, 0, 0, 0, "nothing is padded"},
    {"tokenizer.ggml.pre", kNotUsed, 0, 0, 0, "pre-tokeniser of other tokenizer models"},
    {"tokenizer.ggml.add_bos_token", kNotUsed, 0, 0, 0, "the template decides: one BOS"},
    {"tokenizer.ggml.add_eos_token", kNotUsed, 0, 0, 0, "the template decides"},
    {"tokenizer.ggml.add_space_prefix", kDefault, 0, 0, 1, "text begins with a space"},
    {"tokenizer.chat_template", kNotUsed, 0, 0, 0, "MobileVLM's templates are built in"},
};

constexpr KeySpec kMmprojKeys[] = {
    {"general.architecture", kRequired, 0, 0, 0, "\"clip\""},
    {"clip.has_vision_encoder", kDefault, 0, 0, 1, "false is refused"},
    {"clip.has_text_encoder", kNotUsed, 0, 0, 0, ""},
    {"clip.has_llava_projector", kDefault, 0, 0, 1, "false is refused"},
    {"clip.projector_type", kRequired, 0, 0, 0, "\"ldp\", \"ldpv2\" or \"mlp\""},
    {"clip.vision.image_size", kRequired, 1, 8192, 0, "side of the square input in pixels"},
    {"clip.vision.patch_size", kRequired, 1, 1024, 0, ""},
    {"clip.vision.embedding_length", kRequired, 1, 65536, 0, "hidden size"},
    {"clip.vision.feed_forward_length", kRequired, 1, 1 << 20, 0, ""},
    {"clip.vision.attention.head_count", kRequired, 1, 1024, 0, ""},
    {"clip.vision.attention.layer_norm_epsilon", kRequired, 1e-12, 0.1, 0, ""},
    {"clip.vision.block_count", kRequired, 1, 1024, 0, "blocks stored in the file"},
    {"clip.vision.feature_layer", kDerived, 1, 1024, 0,
     "[k]: run k blocks; else all of them, or all but the last if the file has v.post_ln"},
    {"clip.vision.image_mean", kRequired, 0, 0, 0, "per channel, of values in [0, 1]"},
    {"clip.vision.image_std", kRequired, 0, 0, 0, "per channel"},
    {"clip.use_gelu", kDefault, 0, 0, 0, "else quick GELU, unless use_silu"},
    {"clip.use_silu", kDefault, 0, 0, 0, ""},
    {"clip.vision.projection_dim", kNotUsed, 0, 0, 0, "of CLIP's contrastive head, not in the file"},
    {"clip.vision.image_grid_pinpoints", kNotUsed, 0, 0, 0, "LLaVA 1.6 tiling"},
    {"clip.vision.image_crop_resolution", kNotUsed, 0, 0, 0, "LLaVA 1.6 tiling"},
    {"clip.vision.image_aspect_ratio", kNotUsed, 0, 0, 0, "LLaVA 1.6 tiling"},
    {"clip.vision.mm_patch_merge_type", kNotUsed, 0, 0, 0, "LLaVA 1.6 tiling"},
};

const KeySpec* FindKey(std::span<const KeySpec> keys, std::string_view key) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const KeySpec& k) { return k.key == key; });
  return found == keys.end() ? nullptr : &*found;
}

const KeySpec& GetKey(std::span<const KeySpec> keys, std::string_view key) {
  const KeySpec* spec = FindKey(keys, key);
  MVLM_CHECK(spec != nullptr, "{} is not in the table of keys", key);
  return *spec;
}

bool FallsBack(const GgufFile& file, const KeySpec& spec) {
  return spec.rule == KeyRule::kDefault && !file.Has(spec.key);
}

}  // namespace

std::span<const KeySpec> TextKeys() { return kTextKeys; }
std::span<const KeySpec> MmprojKeys() { return kMmprojKeys; }

bool IsKnownKey(std::span<const KeySpec> keys, std::string_view key) {
  return key.starts_with("general.") || FindKey(keys, key) != nullptr;
}

Result<int> ReadInt(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key) {
  const KeySpec& spec = GetKey(keys, key);
  if (FallsBack(file, spec)) return static_cast<int>(spec.fallback);
  MVLM_ASSIGN(const uint32_t value, file.GetU32(key));
  if (value < spec.least || value > spec.most) {
    return Fail("{}: {}: wanted {} to {}, found {}", file.path(), key, spec.least, spec.most, value);
  }
  return static_cast<int>(value);
}

Result<int> ReadIntOr(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key,
                      int derived) {
  if (!file.Has(key)) return derived;
  return ReadInt(file, keys, key);
}

Result<float> ReadFloat(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key) {
  const KeySpec& spec = GetKey(keys, key);
  if (FallsBack(file, spec)) return static_cast<float>(spec.fallback);
  MVLM_ASSIGN(const float value, file.GetF32(key));
  // Written so that NaN fails.
  if (!(value >= spec.least && value <= spec.most)) {
    return Fail("{}: {}: wanted {} to {}, found {}", file.path(), key, spec.least, spec.most, value);
  }
  return value;
}

Result<bool> ReadFlag(const GgufFile& file, std::span<const KeySpec> keys, std::string_view key) {
  const KeySpec& spec = GetKey(keys, key);
  if (FallsBack(file, spec)) return spec.fallback != 0;
  return file.GetBool(key);
}

}  // namespace mobilevlm
