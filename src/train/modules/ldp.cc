#include "train/modules/ldp.h"

#include "base/check.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {

LdpNetV2Projector::LdpNetV2Projector(const ProjectorPlan& plan)
    : plan_(plan),
      first_(plan.config.vision_hidden, plan.config.hidden),
      second_(plan.config.hidden, plan.config.hidden) {
  // The official modules nest as FeatureIRLayer.mlp (a Sequential) and PosInjectLayer.peg (a Sequential).
  const auto mlp = std::make_shared<torch::nn::Module>("FeatureIRLayer");
  const auto mlp_layers = std::make_shared<torch::nn::Module>("Sequential");
  register_module("mlp", mlp)->register_module("mlp", mlp_layers);
  mlp_layers->register_module("0", first_);
  mlp_layers->register_module("2", second_);
  if (plan.variant == ProjectorVariant::kWithoutPeg) return;
  const int64_t hidden = plan.config.hidden;
  peg_ = torch::nn::Conv2d(torch::nn::Conv2dOptions(hidden, hidden, 3).padding(1).groups(hidden));
  const auto peg = std::make_shared<torch::nn::Module>("PosInjectLayer");
  const auto peg_layers = std::make_shared<torch::nn::Module>("Sequential");
  register_module("peg", peg)->register_module("peg", peg_layers);
  peg_layers->register_module("0", peg_);
}

torch::Tensor LdpNetV2Projector::forward(const torch::Tensor& features) {
  const int64_t batch = features.size(0), grid = plan_.config.grid, hidden = plan_.config.hidden;
  const int64_t pool = plan_.pool, side = plan_.token_grid();
  MVLM_CHECK(features.size(1) == grid * grid, "{} patches, the projector wants {}", features.size(1),
             grid * grid);
  const torch::Tensor rows = features.reshape({batch * grid * grid, features.size(2)});
  const torch::Tensor expanded =
      Linear(torch::gelu(Linear(rows, first_->weight, first_->bias)), second_->weight, second_->bias);
  // AdaptiveAvgPool2d to a grid that divides this one is the mean of squares of patches.
  const torch::Tensor pooled = expanded.view({batch, side, pool, side, pool, hidden}).mean({2, 4});
  if (!peg_) return pooled.view({batch, side * side, hidden});
  const torch::Tensor map = pooled.permute({0, 3, 1, 2}).contiguous();  // [batch, hidden, side, side]
  return (peg_->forward(map) + map).flatten(2).transpose(1, 2).contiguous();
}

}  // namespace mobilevlm::train
