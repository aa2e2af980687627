// The projectors: vision hidden -> decoder hidden. LDPv2 (ldp.h), and here those that are trained less often:
// LDP (V1; vision_projector.py: LDPBlock), LLaVA-1.5's MLP, and the first LLaVA's matrix. Parameters bear the
// official names.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "train/modules/projector_plan.h"

namespace mobilevlm::train {

class Projector : public torch::nn::Module {
 public:
  // [batch, patches, vision hidden] -> [batch, tokens, hidden]
  virtual torch::Tensor forward(const torch::Tensor& features) = 0;
};

// Freshly initialised as the official code does.
std::shared_ptr<Projector> MakeProjector(const ProjectorPlan& plan);

}  // namespace mobilevlm::train
