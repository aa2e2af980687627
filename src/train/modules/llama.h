// The LLaMA decoder for training (transformers: LlamaForCausalLM), any size, official parameter names.
// Rotary positions in Hugging Face's half-split layout; no biases. Activations are [batch * tokens, hidden].
#pragma once

#include <torch/torch.h>

#include "schema/config.h"
#include "train/modules/functional.h"
#include "train/modules/projection.h"

namespace mobilevlm::train {

// What the rows of a batch are.
struct Sequences {
  int64_t batch;
  RopeTables rope;
  torch::Tensor mask = {};    // AttentionShape::mask
  KeyValues* past = nullptr;  // AttentionShape::past, of this block
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

// transformers: LlamaAttention. With fewer heads of keys and values than of queries, each serves several.
class LlamaAttentionImpl : public torch::nn::Module {
 public:
  LlamaAttentionImpl(const LlmConfig& config, const MatrixOptions& matrices);
  torch::Tensor forward(const torch::Tensor& x, const Sequences& sequences,
                        const std::vector<Looks>* looks = nullptr, torch::Tensor* look_loss = nullptr);

 private:
  torch::Tensor QueriesKeysValues(const torch::Tensor& x);  // [rows, 3 * heads * head_dim]

  int64_t heads_, kv_heads_, head_dim_;
  Projection q_proj_, k_proj_, v_proj_, o_proj_;
};
TORCH_MODULE(LlamaAttention);

// transformers: LlamaMLP (SwiGLU).
class LlamaMlpImpl : public torch::nn::Module {
 public:
  LlamaMlpImpl(const LlmConfig& config, const MatrixOptions& matrices);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  Projection gate_proj_, up_proj_, down_proj_;
};
TORCH_MODULE(LlamaMlp);

// transformers: LlamaDecoderLayer.
class LlamaBlockImpl : public torch::nn::Module {
 public:
  LlamaBlockImpl(const LlmConfig& config, const MatrixOptions& matrices);
  torch::Tensor forward(const torch::Tensor& x, const Sequences& sequences,
                        const std::vector<Looks>* looks = nullptr, torch::Tensor* look_loss = nullptr);

 private:
  LlamaAttention self_attn_;
  LlamaMlp mlp_;
  RmsNorm input_layernorm_, post_attention_layernorm_;
};
TORCH_MODULE(LlamaBlock);

}  // namespace mobilevlm::train
