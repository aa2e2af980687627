// The numbers of a model, from GGUF metadata or from a Hugging Face config.json. Constants only: no
// weights, no buffers. Every field was read from the file or is a documented default of its format;
// nothing downstream assumes a particular size.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace mobilevlm {

enum class VisionActivation { kQuickGelu, kGelu, kSilu };
enum class ProjectorType { kLdp, kLdpV2, kMlp };

std::string_view ProjectorName(ProjectorType type);  // "ldp", "ldpv2", "mlp", as in clip.projector_type
std::string_view HfProjectorName(
    ProjectorType type);  // "ldpnet", "ldpnetv2", "mlp2x_gelu", as in config.json

// How pixels become the encoder's input (CLIPImageProcessor).
struct ImageConfig {
  int image_size = 0;  // side of the square input in pixels
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
};

// The CLIP vision tower.
struct VisionConfig {
  int hidden = 0;
  int intermediate = 0;
  int heads = 0;
  int stored_layers = 0;  // blocks in the file
  int used_layers = 0;    // blocks to run: the feature is hidden_states[used_layers]
  int image_size = 0;
  int patch_size = 0;
  float layer_norm_eps = 0;
  VisionActivation activation = VisionActivation::kQuickGelu;

  int grid() const { return image_size / patch_size; }
  int patches() const { return grid() * grid(); }
  int head_dim() const { return hidden / heads; }
};

// Vision hidden -> language-model hidden. LDP (V1) and LDPv2 (V2) halve the grid, LLaVA-1.5's MLP keeps it.
struct ProjectorConfig {
  ProjectorType type = ProjectorType::kLdpV2;
  int vision_hidden = 0;
  int hidden = 0;
  int grid = 0;  // of the patches; even if it is halved

  bool halves_grid() const { return type != ProjectorType::kMlp; }
  int tokens() const { return halves_grid() ? (grid / 2) * (grid / 2) : grid * grid; }
  // Width of LDP's squeeze-and-excite: hidden / 4 as torchvision's _make_divisible(., 8) rounds it.
  int squeeze() const;
};

// The LLaMA decoder.
struct LlmConfig {
  int hidden = 0;
  int intermediate = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab = 0;
  int context = 0;
  float rms_eps = 0;
  float rope_base = 10000.0f;
};

}  // namespace mobilevlm
