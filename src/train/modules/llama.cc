#include "train/modules/llama.h"

#include "base/check.h"

namespace mobilevlm::train {
namespace {

constexpr double kInitStd = 0.02;

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
  return x * torch::rsqrt(x.square().mean(-1, /*keepdim=*/true) + eps_) * weight_;
}

LlamaAttentionImpl::LlamaAttentionImpl(const LlmConfig& config)
    : heads_(config.heads),
      q_proj_(register_module("q_proj", Projection(config.hidden, config.heads * config.head_dim))),
      k_proj_(register_module("k_proj", Projection(config.hidden, config.heads * config.head_dim))),
      v_proj_(register_module("v_proj", Projection(config.hidden, config.heads * config.head_dim))),
      o_proj_(register_module("o_proj", Projection(config.heads * config.head_dim, config.hidden))) {
  MVLM_CHECK(config.kv_heads == config.heads, "grouped heads are not trained here");
}

torch::Tensor LlamaAttentionImpl::forward(const torch::Tensor& x, const Sequences& sequences) {
  const torch::Tensor weight = torch::cat({q_proj_->weight, k_proj_->weight, v_proj_->weight});
  const AttentionShape shape{.batch = sequences.batch,
                             .tokens = x.size(0) / sequences.batch,
                             .heads = heads_,
                             .causal = true,
                             .mask = sequences.mask};
  return Linear(Attention(Linear(x, weight), shape, &sequences.rope), o_proj_->weight);
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

torch::Tensor LlamaBlockImpl::forward(const torch::Tensor& x, const Sequences& sequences) {
  const torch::Tensor attended = x + self_attn_->forward(input_layernorm_->forward(x), sequences);
  return attended + mlp_->forward(post_attention_layernorm_->forward(attended));
}

}  // namespace mobilevlm::train
