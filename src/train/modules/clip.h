// CLIP's vision tower for training (transformers: CLIPVisionModel), any size.
//
// Children and parameters bear the official names, so that named_parameters() of the whole model is the
// official state dict. Blocks are the ones used: the feature is the output of the last stored block,
// without post_layernorm, without the class token (MobileVLM's mm_vision_select_feature = "patch").
// Activations are matrices [batch * tokens, hidden], tokens = patches + 1, class token first.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "schema/config.h"

namespace mobilevlm::train {

class ClipAttentionImpl : public torch::nn::Module {
 public:
  ClipAttentionImpl(int64_t hidden, int64_t heads);
  torch::Tensor forward(const torch::Tensor& x, int64_t batch);  // [batch * tokens, hidden]

 private:
  int64_t heads_;
  torch::nn::Linear k_proj_, v_proj_, q_proj_, out_proj_;
};
TORCH_MODULE(ClipAttention);

class ClipMlpImpl : public torch::nn::Module {
 public:
  ClipMlpImpl(int64_t hidden, int64_t intermediate, VisionActivation activation);
  torch::Tensor forward(const torch::Tensor& x);  // [batch * tokens, hidden]

 private:
  VisionActivation activation_;
  torch::nn::Linear fc1_, fc2_;
};
TORCH_MODULE(ClipMlp);

// transformers: CLIPEncoderLayer (pre-LayerNorm).
class ClipBlockImpl : public torch::nn::Module {
 public:
  explicit ClipBlockImpl(const VisionConfig& config);
  torch::Tensor forward(const torch::Tensor& x, int64_t batch);

 private:
  ClipAttention self_attn_;
  torch::nn::LayerNorm layer_norm1_, layer_norm2_;
  ClipMlp mlp_;
};
TORCH_MODULE(ClipBlock);

// transformers: CLIPVisionEmbeddings.
class ClipEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit ClipEmbeddingsImpl(const VisionConfig& config);
  torch::Tensor forward(const torch::Tensor& pixels);  // [batch, 3, side, side] -> [batch * tokens, hidden]

 private:
  int64_t patch_;
  torch::Tensor class_embedding_;  // [hidden]
  torch::nn::Conv2d patch_embedding_;
  torch::nn::Embedding position_embedding_;
};
TORCH_MODULE(ClipEmbeddings);

class ClipVisionTowerImpl : public torch::nn::Module {
 public:
  explicit ClipVisionTowerImpl(const VisionConfig& config);

  // Normalised pixels [batch, 3, side, side] -> patch features [batch, patches, hidden].
  torch::Tensor forward(const torch::Tensor& pixels);

  const VisionConfig& config() const { return config_; }

 private:
  VisionConfig config_;
  ClipEmbeddings embeddings_;
  torch::nn::LayerNorm pre_layrnorm_;
  torch::nn::ModuleList layers_;
};
TORCH_MODULE(ClipVisionTower);

}  // namespace mobilevlm::train
