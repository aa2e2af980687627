// Configs from files. Whatever is missing, unknown or absurd is an Error that names file, key and value;
// which keys may be absent stands in schema/keys.h (GGUF) and below (config.json).
#pragma once

#include <optional>
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

// What the shapes of a checkpoint's tensors say about its vision tower.
struct TowerShape {
  int hidden = 0;
  int intermediate = 0;
  int patch_size = 0;
  int positions = 0;  // patches + 1
  int layers = 0;     // stored
};

// Where the tower's numbers come from when config.json has no vision_config.
struct TowerHint {
  std::optional<TowerShape> shape;     // of the tensors beside config.json
  std::optional<VisionConfig> config;  // of another directory, whose tower is used; goes before vision_config
};

// A Hugging Face directory's config.json: MobileVLM ("mobilevlm"), LLaVA-1.5 ("llava", "llava_llama") or a
// text-only LLaMA ("llama"), by model_type.
//
// The official files say of the tower only its name, mm_vision_tower; this project's also have
// `vision_config`. Without it the name must be that of a CLIP tower in the table of schema/clip_towers.h and
// the tensors must have that tower's shapes; anything else is an Error that names the missing keys.
//
// used_layers = stored + 1 + mm_vision_select_layer, which is negative: an index from the end of the stored +
// 1 hidden_states. Defaults are Hugging Face's: num_key_value_heads = num_attention_heads, rope_theta 10000,
// rope_scaling null, hidden_act silu, tie_word_embeddings false, mm_vision_select_feature patch, bos 1,
// eos 2. Mean and std are those of openai/clip, which the official loader takes from there. Keys that
// training tools left behind (n_head, n_embd, norm_eps, ...) mean nothing.
struct HfConfig {
  LlmConfig llm;
  bool multimodal = true;  // false: a LLaMA alone; vision, projector and image are then empty
  VisionConfig vision;
  ProjectorConfig projector;
  ImageConfig image;
  int bos = 1;
  int eos = 2;
};
Result<HfConfig> ParseHfConfig(std::string_view json, const std::string& path, const TowerHint& hint = {});

// config.json of a CLIP directory ("clip" with its vision_config, or "clip_vision_model"): used_layers is
// stored_layers.
Result<VisionConfig> ParseClipConfig(std::string_view json, const std::string& path);

// An Error "text and mmproj do not fit: ..." unless the projector's output is the decoder's input.
Status CheckFit(const LlmConfig& llm, const ProjectorConfig& projector);

// Relations that both formats must obey (heads divide hidden, even head_dim, a grid that can be halved, ...);
// `where` is the file. Range checks of single numbers come before.
Status CheckLlmConfig(const LlmConfig& config, const std::string& where);
Status CheckVisionConfig(const VisionConfig& config, const std::string& where);
Status CheckProjectorConfig(const ProjectorConfig& config, const std::string& where);

}  // namespace mobilevlm
