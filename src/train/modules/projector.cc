#include "train/modules/projector.h"

#include <cmath>

#include "base/check.h"
#include "train/modules/functional.h"
#include "train/modules/ldp.h"
#include "train/modules/projection.h"

namespace mobilevlm::train {
namespace {

constexpr double kNormEps = 1e-5;  // timm: LayerNormAct2d

// A weight and a bias as PyTorch's Linear and Conv2d begin: uniform within 1 / sqrt(inputs of one output).
struct Affine {
  torch::Tensor weight, bias;

  static Affine Register(torch::nn::Module& root, const std::string& path, torch::IntArrayRef shape,
                         bool with_bias) {
    int64_t inputs = 1;
    for (size_t i = 1; i < shape.size(); ++i) inputs *= shape[i];
    const double bound = 1.0 / std::sqrt(static_cast<double>(inputs));
    Affine affine;
    affine.weight = AddParameter(root, path + ".weight", torch::empty(shape).uniform_(-bound, bound));
    if (with_bias) {
      affine.bias = AddParameter(root, path + ".bias", torch::empty({shape[0]}).uniform_(-bound, bound));
    }
    return affine;
  }
};

struct Norm {
  torch::Tensor weight, bias;

  static Norm Register(torch::nn::Module& root, const std::string& path, int64_t width) {
    return {AddParameter(root, path + ".weight", torch::ones({width})),
            AddParameter(root, path + ".bias", torch::zeros({width}))};
  }
  // Over the channels of every position: [batch, channels, grid, grid].
  torch::Tensor operator()(const torch::Tensor& map) const {
    const torch::Tensor last = map.permute({0, 2, 3, 1});
    return torch::layer_norm(last, {weight.size(0)}, weight, bias, kNormEps).permute({0, 3, 1, 2});
  }
};

// Linear, GELU (erf), Linear over the rows of all patches.
torch::Tensor TwoLayers(const Affine& first, const Affine& second, const torch::Tensor& features) {
  const torch::Tensor rows = features.reshape({-1, features.size(2)});
  return Linear(torch::gelu(Linear(rows, first.weight, first.bias)), second.weight, second.bias);
}

// torchvision's InvertedResidual without expansion, as mobilevlm builds it.
class InvertedResidual {
 public:
  InvertedResidual(torch::nn::Module& root, const std::string& path, int64_t hidden, int64_t squeeze,
                   int64_t stride)
      : stride_(stride),
        depthwise_(Affine::Register(root, path + ".0.0", {hidden, 1, 3, 3}, false)),
        depthwise_norm_(Norm::Register(root, path + ".0.1", hidden)),
        squeeze_(Affine::Register(root, path + ".1.fc1", {squeeze, hidden, 1, 1}, true)),
        excite_(Affine::Register(root, path + ".1.fc2", {hidden, squeeze, 1, 1}, true)),
        pointwise_(Affine::Register(root, path + ".2.0", {hidden, hidden, 1, 1}, false)),
        pointwise_norm_(Norm::Register(root, path + ".2.1", hidden)) {}

  torch::Tensor operator()(const torch::Tensor& x) const {
    torch::Tensor y =
        torch::conv2d(x, depthwise_.weight, {}, stride_, /*padding=*/1, /*dilation=*/1, x.size(1));
    y = torch::hardswish(depthwise_norm_(y).contiguous());
    const torch::Tensor mean = y.mean({2, 3}, /*keepdim=*/true);
    const torch::Tensor squeezed = torch::relu(torch::conv2d(mean, squeeze_.weight, squeeze_.bias));
    y = y * torch::hardsigmoid(torch::conv2d(squeezed, excite_.weight, excite_.bias));
    y = pointwise_norm_(torch::conv2d(y, pointwise_.weight));
    return stride_ == 1 ? x + y : y;
  }

 private:
  int64_t stride_;
  Affine depthwise_;
  Norm depthwise_norm_;
  Affine squeeze_, excite_, pointwise_;
  Norm pointwise_norm_;
};

class LdpProjector : public Projector {
 public:
  explicit LdpProjector(const ProjectorConfig& config)
      : grid_(config.grid),
        first_(Affine::Register(*this, "model.mlp.1", {config.hidden, config.vision_hidden}, true)),
        second_(Affine::Register(*this, "model.mlp.3", {config.hidden, config.hidden}, true)),
        keep_(*this, "model.mb_block.1.block", config.hidden, config.squeeze(), 1),
        halve_(*this, "model.mb_block.2.block", config.hidden, config.squeeze(), 2) {}

  torch::Tensor forward(const torch::Tensor& features) override {
    const torch::Tensor rows = TwoLayers(first_, second_, features);
    const torch::Tensor map =
        rows.view({features.size(0), grid_, grid_, rows.size(1)}).permute({0, 3, 1, 2}).contiguous();
    return halve_(keep_(map)).flatten(2).transpose(1, 2).contiguous();
  }

 private:
  int64_t grid_;
  Affine first_, second_;
  InvertedResidual keep_, halve_;
};

class MlpProjector : public Projector {
 public:
  explicit MlpProjector(const ProjectorConfig& config)
      : first_(Affine::Register(*this, "0", {config.hidden, config.vision_hidden}, true)),
        second_(Affine::Register(*this, "2", {config.hidden, config.hidden}, true)) {}

  torch::Tensor forward(const torch::Tensor& features) override {
    return TwoLayers(first_, second_, features).view({features.size(0), features.size(1), -1});
  }

 private:
  Affine first_, second_;
};

// nn.Linear itself: "weight", "bias".
class LinearProjector : public Projector {
 public:
  explicit LinearProjector(const ProjectorConfig& config) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(config.vision_hidden));
    weight_ = register_parameter("weight",
                                 torch::empty({config.hidden, config.vision_hidden}).uniform_(-bound, bound));
    bias_ = register_parameter("bias", torch::empty({config.hidden}).uniform_(-bound, bound));
  }

  torch::Tensor forward(const torch::Tensor& features) override {
    const torch::Tensor rows = features.reshape({-1, features.size(2)});
    return Linear(rows, weight_, bias_).view({features.size(0), features.size(1), -1});
  }

 private:
  torch::Tensor weight_, bias_;
};

}  // namespace

std::shared_ptr<Projector> MakeProjector(const ProjectorPlan& plan) {
  const ProjectorConfig& config = plan.config;
  if (plan.variant == ProjectorVariant::kLinear) return std::make_shared<LinearProjector>(config);
  switch (config.type) {
    case ProjectorType::kLdpV2:
      return std::make_shared<LdpNetV2Projector>(plan);
    case ProjectorType::kLdp:
      return std::make_shared<LdpProjector>(config);
    case ProjectorType::kMlp:
      return std::make_shared<MlpProjector>(config);
  }
  MVLM_CHECK(false, "no such projector");
}

}  // namespace mobilevlm::train
