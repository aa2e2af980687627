#include "train/modules/clip.h"

#include "base/check.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {
namespace {

torch::nn::LayerNormOptions NormOptions(const VisionConfig& config) {
  return torch::nn::LayerNormOptions({config.hidden}).eps(config.layer_norm_eps);
}

torch::Tensor Activate(const torch::Tensor& x, VisionActivation activation) {
  switch (activation) {
    case VisionActivation::kQuickGelu:
      return QuickGelu(x);
    case VisionActivation::kGelu:
      return torch::gelu(x);
    case VisionActivation::kSilu:
      return torch::silu(x);
  }
  MVLM_CHECK(false, "no such activation");
}

// Linear layers start as normal(0, 0.02) with zero bias, as CLIP and ViT do.
void InitialiseLinear(torch::nn::Linear& linear) {
  torch::NoGradGuard guard;
  linear->weight.normal_(0.0, kInitStd);
  linear->bias.zero_();
}

}  // namespace

ClipAttentionImpl::ClipAttentionImpl(int64_t hidden, int64_t heads)
    : heads_(heads),
      k_proj_(register_module("k_proj", torch::nn::Linear(hidden, hidden))),
      v_proj_(register_module("v_proj", torch::nn::Linear(hidden, hidden))),
      q_proj_(register_module("q_proj", torch::nn::Linear(hidden, hidden))),
      out_proj_(register_module("out_proj", torch::nn::Linear(hidden, hidden))) {
  for (auto* linear : {&k_proj_, &v_proj_, &q_proj_, &out_proj_}) InitialiseLinear(*linear);
}

torch::Tensor ClipAttentionImpl::forward(const torch::Tensor& x, int64_t batch) {
  // One product instead of three: the narrow ones run far below the machine's speed.
  const torch::Tensor weight = torch::cat({q_proj_->weight, k_proj_->weight, v_proj_->weight});
  const torch::Tensor bias = torch::cat({q_proj_->bias, k_proj_->bias, v_proj_->bias});
  const AttentionShape shape{.batch = batch, .tokens = x.size(0) / batch, .heads = heads_, .causal = false};
  return Linear(Attention(Linear(x, weight, bias), shape, nullptr), out_proj_->weight, out_proj_->bias);
}

ClipMlpImpl::ClipMlpImpl(int64_t hidden, int64_t intermediate, VisionActivation activation)
    : activation_(activation),
      fc1_(register_module("fc1", torch::nn::Linear(hidden, intermediate))),
      fc2_(register_module("fc2", torch::nn::Linear(intermediate, hidden))) {
  InitialiseLinear(fc1_);
  InitialiseLinear(fc2_);
}

torch::Tensor ClipMlpImpl::forward(const torch::Tensor& x) {
  return Linear(Activate(Linear(x, fc1_->weight, fc1_->bias), activation_), fc2_->weight, fc2_->bias);
}

ClipBlockImpl::ClipBlockImpl(const VisionConfig& config)
    : self_attn_(register_module("self_attn", ClipAttention(config.hidden, config.heads))),
      layer_norm1_(register_module("layer_norm1", torch::nn::LayerNorm(NormOptions(config)))),
      layer_norm2_(register_module("layer_norm2", torch::nn::LayerNorm(NormOptions(config)))),
      mlp_(register_module("mlp", ClipMlp(config.hidden, config.intermediate, config.activation))) {}

torch::Tensor ClipBlockImpl::forward(const torch::Tensor& x, int64_t batch) {
  const torch::Tensor attended = x + self_attn_->forward(layer_norm1_->forward(x), batch);
  return attended + mlp_->forward(layer_norm2_->forward(attended));
}

ClipEmbeddingsImpl::ClipEmbeddingsImpl(const VisionConfig& config)
    : patch_(config.patch_size),
      class_embedding_(register_parameter("class_embedding", torch::randn({config.hidden}) * kInitStd)),
      patch_embedding_(register_module(
          "patch_embedding", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, config.hidden, config.patch_size)
                                                   .stride(config.patch_size)
                                                   .bias(false)))),
      position_embedding_(
          register_module("position_embedding", torch::nn::Embedding(config.patches() + 1, config.hidden))) {
  torch::NoGradGuard guard;
  patch_embedding_->weight.normal_(0.0, kInitStd);
  position_embedding_->weight.normal_(0.0, kInitStd);
}

torch::Tensor ClipEmbeddingsImpl::forward(const torch::Tensor& pixels) {
  const int64_t batch = pixels.size(0);
  const int64_t grid = pixels.size(2) / patch_;
  // Stride equals kernel, so the convolution is one matrix product over cut-out patches.
  const torch::Tensor patches = pixels.view({batch, 3, grid, patch_, grid, patch_})
                                    .permute({0, 2, 4, 1, 3, 5})
                                    .reshape({batch * grid * grid, 3 * patch_ * patch_});
  const torch::Tensor& weight = patch_embedding_->weight;
  const torch::Tensor embedded =
      Linear(patches, weight.view({weight.size(0), -1})).view({batch, grid * grid, weight.size(0)});
  const torch::Tensor first = class_embedding_.expand({batch, 1, -1});
  const torch::Tensor tokens = torch::cat({first, embedded}, 1) + position_embedding_->weight;
  return tokens.view({-1, weight.size(0)});
}

ClipVisionTowerImpl::ClipVisionTowerImpl(const VisionConfig& config)
    : config_(config), embeddings_(config), pre_layrnorm_(NormOptions(config)) {
  MVLM_CHECK(config.stored_layers == config.used_layers,
             "a tower in training stores exactly the blocks it runs");
  // The official checkpoint nests twice: vision_tower.vision_tower.vision_model (facts of the HF format).
  const auto outer = std::make_shared<torch::nn::Module>("CLIPVisionModel");
  const auto inner = std::make_shared<torch::nn::Module>("CLIPVisionTransformer");
  const auto encoder = std::make_shared<torch::nn::Module>("CLIPEncoder");
  for (int i = 0; i < config.used_layers; ++i) layers_->push_back(ClipBlock(config));
  register_module("vision_tower", outer);
  outer->register_module("vision_model", inner);
  inner->register_module("embeddings", embeddings_);
  inner->register_module("pre_layrnorm", pre_layrnorm_);
  inner->register_module("encoder", encoder);
  encoder->register_module("layers", layers_);
}

torch::Tensor ClipVisionTowerImpl::forward(const torch::Tensor& pixels) {
  MVLM_CHECK(pixels.size(2) == config_.image_size && pixels.size(3) == config_.image_size,
             "pixels are {}x{}, the tower wants {}", pixels.size(2), pixels.size(3), config_.image_size);
  const int64_t batch = pixels.size(0);
  torch::Tensor x = pre_layrnorm_->forward(embeddings_->forward(pixels));
  for (const auto& layer : *layers_) x = layer->as<ClipBlock>()->forward(x, batch);
  return x.view({batch, -1, config_.hidden}).slice(1, 1);
}

}  // namespace mobilevlm::train
