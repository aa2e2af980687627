#include <algorithm>
#include <cmath>

#include "schema/keys.h"
#include "schema/read_config.h"
#include "schema/tensors.h"

namespace mobilevlm {
namespace {

Status RequireArchitecture(const GgufFile& file, std::string_view wanted, std::string_view role) {
  MVLM_ASSIGN(const std::string found, file.GetString("general.architecture"));
  if (found == wanted) return {};
  return Fail("{}: general.architecture: wanted \"{}\" ({}), found \"{}\"", file.path(), wanted, role,
              Printable(found));
}

Status RequireTrue(const GgufFile& file, std::string_view key) {
  MVLM_ASSIGN(const bool value, ReadFlag(file, MmprojKeys(), key));
  if (value) return {};
  return Fail("{}: {}: wanted true, found false", file.path(), key);
}

// Keys that only exist to say "unlike plain LLaMA".
Status RefuseVariants(const GgufFile& text, int head_dim) {
  for (const char* key :
       {"llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count"}) {
    MVLM_ASSIGN(const int value, ReadIntOr(text, TextKeys(), key, head_dim));
    if (value != head_dim) {
      return Fail("{}: {}: wanted the head size {}, found {}", text.path(), key, head_dim, value);
    }
  }
  if (text.Has("llama.rope.scaling.type")) {
    MVLM_ASSIGN(const std::string scaling, text.GetString("llama.rope.scaling.type"));
    if (scaling != "none") {
      return Fail("{}: llama.rope.scaling.type: wanted \"none\", found \"{}\"", text.path(),
                  Printable(scaling));
    }
  }
  MVLM_TRY(ReadFloat(text, TextKeys(), "llama.rope.scaling.factor"));
  MVLM_TRY(ReadFloat(text, TextKeys(), "llama.rope.scale_linear"));
  MVLM_TRY(ReadInt(text, TextKeys(), "llama.expert_count"));
  return {};
}

Result<int> ReadVocabSize(const GgufFile& text) {
  const GgufValue* tokens = text.Find("tokenizer.ggml.tokens");
  const auto* array = tokens == nullptr ? nullptr : std::get_if<GgufArray>(&tokens->value);
  if (array == nullptr) return Fail("{}: tokenizer.ggml.tokens: wanted an array of pieces", text.path());
  if (array->count < 1 || array->count > (1u << 24)) {
    return Fail("{}: tokenizer.ggml.tokens: wanted 1 to {} pieces, found {}", text.path(), 1u << 24,
                array->count);
  }
  const int count = static_cast<int>(array->count);
  MVLM_ASSIGN(const int vocab, ReadIntOr(text, TextKeys(), "llama.vocab_size", count));
  // A padded embedding table is fine, a token without an embedding is not.
  if (vocab < count) {
    return Fail("{}: llama.vocab_size is {}, but the tokenizer has {} pieces", text.path(), vocab, count);
  }
  return vocab;
}

Result<int> ReadUsedLayers(const GgufFile& mmproj, int stored) {
  constexpr std::string_view kKey = "clip.vision.feature_layer";
  if (!mmproj.Has(kKey)) {
    const bool has_post_norm =
        mmproj.FindTensor("v.post_ln.weight") != nullptr || mmproj.FindTensor("v.post_ln.bias") != nullptr;
    return has_post_norm ? stored - 1 : stored;
  }
  MVLM_ASSIGN(const auto layers, mmproj.GetInts(kKey));
  if (layers.size() != 1) {
    return Fail("{}: {}: wanted one layer, found {}", mmproj.path(), kKey, layers.size());
  }
  if (layers[0] < 1 || layers[0] > stored) {
    return Fail("{}: {}: wanted 1 to {} (the stored blocks), found {}", mmproj.path(), kKey, stored,
                layers[0]);
  }
  return static_cast<int>(layers[0]);
}

Result<VisionActivation> ReadActivation(const GgufFile& mmproj) {
  MVLM_ASSIGN(const bool gelu, ReadFlag(mmproj, MmprojKeys(), "clip.use_gelu"));
  MVLM_ASSIGN(const bool silu, ReadFlag(mmproj, MmprojKeys(), "clip.use_silu"));
  if (gelu && silu) return Fail("{}: clip.use_gelu and clip.use_silu are both true", mmproj.path());
  if (gelu) return VisionActivation::kGelu;
  return silu ? VisionActivation::kSilu : VisionActivation::kQuickGelu;
}

Result<std::array<float, 3>> ReadChannels(const GgufFile& mmproj, std::string_view key, float least) {
  MVLM_ASSIGN(const auto values, mmproj.GetF32s(key));
  if (values.size() != 3)
    return Fail("{}: {}: wanted 3 numbers, found {}", mmproj.path(), key, values.size());
  for (const float value : values) {
    if (!(value >= least && value <= 1.0f)) {
      return Fail("{}: {}: wanted numbers from {} to 1, found {}", mmproj.path(), key, least, value);
    }
  }
  return std::array<float, 3>{values[0], values[1], values[2]};
}

}  // namespace

Result<LlmConfig> ReadLlmConfig(const GgufFile& text) {
  MVLM_TRY(RequireArchitecture(text, "llama", "a text model"));
  const auto keys = TextKeys();
  LlmConfig config;
  MVLM_ASSIGN(config.hidden, ReadInt(text, keys, "llama.embedding_length"));
  MVLM_ASSIGN(config.intermediate, ReadInt(text, keys, "llama.feed_forward_length"));
  MVLM_ASSIGN(config.layers, ReadInt(text, keys, "llama.block_count"));
  MVLM_ASSIGN(config.heads, ReadInt(text, keys, "llama.attention.head_count"));
  MVLM_ASSIGN(config.kv_heads, ReadIntOr(text, keys, "llama.attention.head_count_kv", config.heads));
  MVLM_ASSIGN(config.context, ReadInt(text, keys, "llama.context_length"));
  MVLM_ASSIGN(config.rms_eps, ReadFloat(text, keys, "llama.attention.layer_norm_rms_epsilon"));
  MVLM_ASSIGN(config.rope_base, ReadFloat(text, keys, "llama.rope.freq_base"));
  MVLM_ASSIGN(config.vocab, ReadVocabSize(text));
  config.head_dim = config.hidden / config.heads;
  MVLM_TRY(CheckLlmConfig(config, text.path()));
  MVLM_TRY(RefuseVariants(text, config.head_dim));
  return config;
}

Result<VisionConfig> ReadVisionConfig(const GgufFile& mmproj) {
  MVLM_TRY(RequireArchitecture(mmproj, "clip", "an mmproj"));
  MVLM_TRY(RequireTrue(mmproj, "clip.has_vision_encoder"));
  const auto keys = MmprojKeys();
  VisionConfig config;
  MVLM_ASSIGN(config.hidden, ReadInt(mmproj, keys, "clip.vision.embedding_length"));
  MVLM_ASSIGN(config.intermediate, ReadInt(mmproj, keys, "clip.vision.feed_forward_length"));
  MVLM_ASSIGN(config.heads, ReadInt(mmproj, keys, "clip.vision.attention.head_count"));
  MVLM_ASSIGN(config.stored_layers, ReadInt(mmproj, keys, "clip.vision.block_count"));
  MVLM_ASSIGN(config.used_layers, ReadUsedLayers(mmproj, config.stored_layers));
  MVLM_ASSIGN(config.image_size, ReadInt(mmproj, keys, "clip.vision.image_size"));
  MVLM_ASSIGN(config.patch_size, ReadInt(mmproj, keys, "clip.vision.patch_size"));
  MVLM_ASSIGN(config.layer_norm_eps, ReadFloat(mmproj, keys, "clip.vision.attention.layer_norm_epsilon"));
  MVLM_ASSIGN(config.activation, ReadActivation(mmproj));
  MVLM_TRY(CheckVisionConfig(config, mmproj.path()));
  return config;
}

Result<ImageConfig> ReadImageConfig(const GgufFile& mmproj) {
  MVLM_TRY(RequireArchitecture(mmproj, "clip", "an mmproj"));
  ImageConfig config;
  MVLM_ASSIGN(config.image_size, ReadInt(mmproj, MmprojKeys(), "clip.vision.image_size"));
  MVLM_ASSIGN(config.mean, ReadChannels(mmproj, "clip.vision.image_mean", 0.0f));
  MVLM_ASSIGN(config.std, ReadChannels(mmproj, "clip.vision.image_std", 1e-3f));
  return config;
}

Result<ProjectorConfig> ReadProjectorConfig(const GgufFile& mmproj) {
  MVLM_ASSIGN(const VisionConfig vision, ReadVisionConfig(mmproj));
  MVLM_TRY(RequireTrue(mmproj, "clip.has_llava_projector"));
  MVLM_ASSIGN(const std::string type, mmproj.GetString("clip.projector_type"));
  ProjectorConfig config;
  std::string_view last_bias;
  if (type == ProjectorName(ProjectorType::kLdpV2)) {
    config.type = ProjectorType::kLdpV2;
    last_bias = "mm.model.peg.0.bias";
  } else if (type == ProjectorName(ProjectorType::kLdp)) {
    config.type = ProjectorType::kLdp;
    last_bias = "mm.model.mb_block.2.block.2.1.bias";
  } else if (type == ProjectorName(ProjectorType::kMlp)) {
    config.type = ProjectorType::kMlp;
    last_bias = "mm.2.bias";
  } else {
    return Fail("{}: clip.projector_type: wanted \"ldp\", \"ldpv2\" or \"mlp\", found \"{}\"", mmproj.path(),
                Printable(type));
  }
  const GgufTensor* bias = mmproj.FindTensor(last_bias);
  if (bias == nullptr) return Fail("{}: tensor {} is missing", mmproj.path(), last_bias);
  if (bias->shape.size() != 1 || bias->shape[0] > 65536) {
    return Fail("{}: tensor {}: wanted shape [hidden] with hidden at most 65536, found {}", mmproj.path(),
                last_bias, ShapeText(bias->shape));
  }
  config.vision_hidden = vision.hidden;
  config.hidden = static_cast<int>(bias->shape[0]);
  config.grid = vision.grid();
  MVLM_TRY(CheckProjectorConfig(config, mmproj.path()));
  return config;
}

}  // namespace mobilevlm
