// The projectors: vision hidden -> decoder hidden. LDPv2 (ldp.h), and here those that are trained less often:
// LDP (V1; vision_projector.py: LDPBlock) and LLaVA-1.5's MLP. Parameters bear the official names.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "schema/config.h"

namespace mobilevlm::train {

class Projector : public torch::nn::Module {
 public:
  // [batch, patches, vision hidden] -> [batch, tokens, hidden]
  virtual torch::Tensor forward(const torch::Tensor& features) = 0;
};

// Freshly initialised as the official code does.
std::shared_ptr<Projector> MakeProjector(const ProjectorConfig& config);

}  // namespace mobilevlm::train
