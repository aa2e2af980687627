// The sizes that models of this family come in, by name.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/config.h"

namespace mobilevlm {

struct ModelSize {
  std::string_view name;  // "1.7b", "3b", "7b": MobileVLM V2; "mini": the bundled model
  ImageConfig image;
  VisionConfig vision;
  LlmConfig llm;
  ProjectorType projector_type = ProjectorType::kLdpV2;

  ProjectorConfig projector() const;
};

std::span<const ModelSize> ModelSizes();

// An Error lists the names.
Result<ModelSize> FindModelSize(std::string_view name);

}  // namespace mobilevlm
