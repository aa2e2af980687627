// The LLaMA decoder for training (transformers: LlamaForCausalLM), any size, official parameter names.
// Rotary positions in Hugging Face's half-split layout; no biases. Activations are [batch * tokens, hidden].
#pragma once

#include <torch/torch.h>

#include "schema/config.h"
#include "train/modules/functional.h"

namespace mobilevlm::train {

// What the rows of a batch are.
struct Sequences {
  int64_t batch;
  RopeTables rope;
  torch::Tensor mask;  // AttentionShape::mask
};

// transformers: LlamaRMSNorm.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t hidden, double eps);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  double eps_;
  torch::Tensor weight_;  // [hidden]
};
TORCH_MODULE(RmsNorm);

// transformers: LlamaAttention without grouped heads.
class LlamaAttentionImpl : public torch::nn::Module {
 public:
  explicit LlamaAttentionImpl(const LlmConfig& config);
  torch::Tensor forward(const torch::Tensor& x, const Sequences& sequences, const Looks* looks = nullptr,
                        torch::Tensor* look_loss = nullptr);

 private:
  int64_t heads_;
  torch::nn::Linear q_proj_, k_proj_, v_proj_, o_proj_;
};
TORCH_MODULE(LlamaAttention);

// transformers: LlamaMLP (SwiGLU).
class LlamaMlpImpl : public torch::nn::Module {
 public:
  explicit LlamaMlpImpl(const LlmConfig& config);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Linear gate_proj_, up_proj_, down_proj_;
};
TORCH_MODULE(LlamaMlp);

// transformers: LlamaDecoderLayer.
class LlamaBlockImpl : public torch::nn::Module {
 public:
  explicit LlamaBlockImpl(const LlmConfig& config);
  torch::Tensor forward(const torch::Tensor& x, const Sequences& sequences, const Looks* looks = nullptr,
                        torch::Tensor* look_loss = nullptr);

 private:
  LlamaAttention self_attn_;
  LlamaMlp mlp_;
  RmsNorm input_layernorm_, post_attention_layernorm_;
};
TORCH_MODULE(LlamaBlock);

}  // namespace mobilevlm::train
