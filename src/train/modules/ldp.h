// The lightweight down-sample projector of MobileVLM V2 (vision_projector.py: LDPNetV2Projector).
#pragma once

#include <torch/torch.h>

#include "schema/config.h"
#include "train/modules/projector.h"

namespace mobilevlm::train {

// mlp.mlp.{0,2}: linear, exact GELU, linear; 2x2 mean; peg.peg.0: depthwise 3x3 convolution plus its input.
class LdpNetV2Projector : public Projector {
 public:
  explicit LdpNetV2Projector(const ProjectorConfig& config);

  // [batch, patches, vision hidden] -> [batch, patches / 4, hidden]
  torch::Tensor forward(const torch::Tensor& features) override;

 private:
  ProjectorConfig config_;
  torch::nn::Linear first_, second_;
  torch::nn::Conv2d peg_;
};

}  // namespace mobilevlm::train
