// Configs from files. Whatever is missing, unknown or absurd is an Error that names file, key and value;
// which keys may be absent stands in schema/keys.h (GGUF) and below (config.json).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/reader.h"
#include "schema/config.h"

namespace mobilevlm {

// From the text model (architecture "llama").
Result<LlmConfig> ReadLlmConfig(const GgufFile& text);

// From the mmproj (architecture "clip"). used_layers follows clip.vision.feature_layer = [k] (run k blocks:
// an index into hidden_states; several values are refused); without the key all stored blocks run if the
// file has no v.post_ln.*, else all but the last.
Result<VisionConfig> ReadVisionConfig(const GgufFile& mmproj);
Result<ImageConfig> ReadImageConfig(const GgufFile& mmproj);
// Numbers from the metadata; `hidden` from the shape of the projector's last bias.
Result<ProjectorConfig> ReadProjectorConfig(const GgufFile& mmproj);

// A Hugging Face directory's config.json: the official keys plus `vision_config` as this project's trainer
// writes it. used_layers = stored + 1 + mm_vision_select_layer, which is negative: an index from the end of
// the stored + 1 hidden_states. Defaults are Hugging Face's: num_key_value_heads = num_attention_heads,
// rope_theta 10000, rope_scaling null, hidden_act silu, tie_word_embeddings false,
// mm_vision_select_feature patch, bos 1, eos 2. Mean and std are those of openai/clip, which the official
// loader takes from there.
struct HfConfig {
  LlmConfig llm;
  VisionConfig vision;
  ProjectorConfig projector;
  ImageConfig image;
  int bos = 1;
  int eos = 2;
};
Result<HfConfig> ParseHfConfig(std::string_view json, const std::string& path);

// An Error "text and mmproj do not fit: ..." unless the projector's output is the decoder's input.
Status CheckFit(const LlmConfig& llm, const ProjectorConfig& projector);

// Relations that both formats must obey (heads divide hidden, even head_dim, a grid that can be halved, ...);
// `where` is the file. Range checks of single numbers come before.
Status CheckLlmConfig(const LlmConfig& config, const std::string& where);
Status CheckVisionConfig(const VisionConfig& config, const std::string& where);
Status CheckProjectorConfig(const ProjectorConfig& config, const std::string& where);

}  // namespace mobilevlm
