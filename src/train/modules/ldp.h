// The lightweight down-sample projector of MobileVLM V2 (vision_projector.py: LDPNetV2Projector).
#pragma once

#include <torch/torch.h>

#include "train/modules/projector.h"

namespace mobilevlm::train {

// mlp.mlp.{0,2}: linear, exact GELU, linear; the mean of 2x2 patches; peg.peg.0: depthwise 3x3 convolution
// plus its input. A plan may ask for the mean of other squares and for no convolution.
class LdpNetV2Projector : public Projector {
 public:
  explicit LdpNetV2Projector(const ProjectorPlan& plan);

  // [batch, patches, vision hidden] -> [batch, tokens, hidden]
  torch::Tensor forward(const torch::Tensor& features) override;

 private:
  ProjectorPlan plan_;
  torch::nn::Linear first_, second_;
  torch::nn::Conv2d peg_{nullptr};  // none without PEG
};

}  // namespace mobilevlm::train
