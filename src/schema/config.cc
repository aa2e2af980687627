#include "schema/config.h"

#include <algorithm>

#include "schema/read_config.h"

namespace mobilevlm {

std::string_view ProjectorName(ProjectorType type) {
  switch (type) {
    case ProjectorType::kLdp:
      return "ldp";
    case ProjectorType::kLdpV2:
      return "ldpv2";
    case ProjectorType::kMlp:
      return "mlp";
  }
  return "";
}

std::string_view HfProjectorName(ProjectorType type) {
  switch (type) {
    case ProjectorType::kLdp:
      return "ldpnet";
    case ProjectorType::kLdpV2:
      return "ldpnetv2";
    case ProjectorType::kMlp:
      return "mlp2x_gelu";
  }
  return "";
}

int ProjectorConfig::squeeze() const {
  const int wanted = hidden / 4;
  int width = std::max(8, (wanted + 4) / 8 * 8);
  if (width * 10 < wanted * 9) width += 8;
  return width;
}

Status CheckLlmConfig(const LlmConfig& config, const std::string& where) {
  if (config.hidden % config.heads != 0) {
    return Fail("{}: hidden size {} is not divisible by {} heads", where, config.hidden, config.heads);
  }
  if (config.head_dim % 2 != 0) return Fail("{}: wanted an even head size, found {}", where, config.head_dim);
  if (config.heads % config.kv_heads != 0) {
    return Fail("{}: {} heads are not divisible by {} key-value heads", where, config.heads, config.kv_heads);
  }
  return {};
}

Status CheckVisionConfig(const VisionConfig& config, const std::string& where) {
  if (config.hidden % config.heads != 0) {
    return Fail("{}: vision hidden size {} is not divisible by {} heads", where, config.hidden, config.heads);
  }
  if (config.image_size % config.patch_size != 0) {
    return Fail("{}: image size {} is not a multiple of the patch size {}", where, config.image_size,
                config.patch_size);
  }
  if (config.grid() > 256) {
    return Fail("{}: image size {} and patch size {} give {} patches a side, wanted at most 256", where,
                config.image_size, config.patch_size, config.grid());
  }
  if (config.used_layers < 1 || config.used_layers > config.stored_layers) {
    return Fail("{}: the feature layer asks for {} of {} stored blocks", where, config.used_layers,
                config.stored_layers);
  }
  return {};
}

Status CheckProjectorConfig(const ProjectorConfig& config, const std::string& where) {
  if (!config.halves_grid() || config.grid % 2 == 0) return {};
  return Fail("{}: the projector {} halves the grid of patches, but its side of {} is odd", where,
              ProjectorName(config.type), config.grid);
}

Status CheckFit(const LlmConfig& llm, const ProjectorConfig& projector) {
  if (llm.hidden == projector.hidden) return {};
  return Fail("text and mmproj do not fit: the projector's output has {} numbers, the text model wants {}",
              projector.hidden, llm.hidden);
}

}  // namespace mobilevlm
