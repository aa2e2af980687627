#include "train/modules/llama.h"

#include "base/check.h"
#include "train/modules/fused.h"

namespace mobilevlm::train {
namespace {

constexpr double kInitStd = 0.02;
// Queries and keys start equal and large enough to tell rows apart.
constexpr double kMatchStd = 0.05;

torch::nn::Linear Projection(int64_t in, int64_t out) {
  torch::nn::Linear linear(torch::nn::LinearOptions(in, out).bias(false));
  torch::NoGradGuard guard;
  linear->weight.normal_(0.0, kInitStd);
  return linear;
}

}  // namespace

RmsNormImpl::RmsNormImpl(int64_t hidden, double eps)
    : eps_(eps), weight_(register_parameter("weight", torch::ones({hidden}))) {}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) {
  return RmsNormRows(x, weight_, eps_);
}

LlamaAttentionImpl::LlamaAttentionImpl(const LlmConfig& config)
    : heads_(config.heads),
      q_proj_(register_module("q_proj", Projection(config.hidden, config.heads * config.head_dim))),
      k_proj_(register_module("k_proj", Projection(config.hidden, config.heads * config.head_dim))),
      v_proj_(register_module("v_proj", Projection(config.hidden, config.heads * config.head_dim))),
      o_proj_(register_module("o_proj", Projection(config.heads * config.head_dim, config.hidden))) {
  MVLM_CHECK(config.kv_heads == config.heads, "grouped heads are not trained here");
  // Attention begins by looking for what is alike: a question finds the cells that hold its words. From
  // independent queries and keys that takes a small model very long to learn (Trockman and Kolter,
  // "Mimetic initialization of self-attention layers", 2023).
  const torch::NoGradGuard no_gradients;
  q_proj_->weight.normal_(0.0, kMatchStd);
  k_proj_->weight.copy_(q_proj_->weight);
}

torch::Tensor LlamaAttentionImpl::forward(const torch::Tensor& x, const Sequences& sequences,
                                          const Looks* looks, torch::Tensor* look_loss) {
  const torch::Tensor weight = torch::cat({q_proj_->weight, k_proj_->weight, v_proj_->weight});
  const AttentionShape shape{.batch = sequences.batch,
                             .tokens = x.size(0) / sequences.batch,
                             .heads = heads_,
                             .causal = true,
                             .mask = sequences.mask};
  return Linear(Attention(Linear(x, weight), shape, &sequences.rope, looks, look_loss), o_proj_->weight);
}

LlamaMlpImpl::LlamaMlpImpl(const LlmConfig& config)
    : gate_proj_(register_module("gate_proj", Projection(config.hidden, config.intermediate))),
      up_proj_(register_module("up_proj", Projection(config.hidden, config.intermediate))),
      down_proj_(register_module("down_proj", Projection(config.intermediate, config.hidden))) {}

torch::Tensor LlamaMlpImpl::forward(const torch::Tensor& x) {
  return Linear(torch::silu(Linear(x, gate_proj_->weight)) * Linear(x, up_proj_->weight), down_proj_->weight);
}

LlamaBlockImpl::LlamaBlockImpl(const LlmConfig& config)
    : self_attn_(register_module("self_attn", LlamaAttention(config))),
      mlp_(register_module("mlp", LlamaMlp(config))),
      input_layernorm_(register_module("input_layernorm", RmsNorm(config.hidden, config.rms_eps))),
      post_attention_layernorm_(
          register_module("post_attention_layernorm", RmsNorm(config.hidden, config.rms_eps))) {}

torch::Tensor LlamaBlockImpl::forward(const torch::Tensor& x, const Sequences& sequences, const Looks* looks,
                                      torch::Tensor* look_loss) {
  const torch::Tensor attended =
      x + self_attn_->forward(input_layernorm_->forward(x), sequences, looks, look_loss);
  return attended + mlp_->forward(post_attention_layernorm_->forward(attended));
}

}  // namespace mobilevlm::train
