#include "train/modules/llama.h"

#include "train/modules/fused.h"

namespace mobilevlm::train {
namespace {

// Queries and keys start equal and large enough to tell rows apart.
constexpr double kMatchStd = 0.05;

}  // namespace

RmsNormImpl::RmsNormImpl(int64_t hidden, double eps)
    : eps_(eps), weight_(register_parameter("weight", torch::ones({hidden}))) {}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) { return RmsNormRows(x, weight_, eps_); }

LlamaAttentionImpl::LlamaAttentionImpl(const LlmConfig& config, const MatrixOptions& matrices)
    : heads_(config.heads),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      q_proj_(register_module("q_proj", Projection(config.hidden, heads_ * head_dim_, matrices))),
      k_proj_(register_module("k_proj", Projection(config.hidden, kv_heads_ * head_dim_, matrices))),
      v_proj_(register_module("v_proj", Projection(config.hidden, kv_heads_ * head_dim_, matrices))),
      o_proj_(register_module("o_proj", Projection(heads_ * head_dim_, config.hidden, matrices))) {
  if (!matrices.initialise || kv_heads_ != heads_) return;
  // Attention begins by looking for what is alike: a question finds the cells that hold its words. From
  // independent queries and keys that takes a small model very long to learn (Trockman and Kolter,
  // "Mimetic initialization of self-attention layers", 2023).
  const torch::NoGradGuard no_gradients;
  torch::Tensor queries = q_proj_->Weight(), keys = k_proj_->Weight();
  queries.normal_(0.0, kMatchStd);
  keys.copy_(queries);
}

torch::Tensor LlamaAttentionImpl::QueriesKeysValues(const torch::Tensor& x) {
  if (kv_heads_ == heads_ && q_proj_->plain()) {  // one product for three
    return Linear(x, torch::cat({q_proj_->Weight(), k_proj_->Weight(), v_proj_->Weight()}));
  }
  // transformers: repeat_kv
  const auto for_every_query = [&](const torch::Tensor& rows) {
    if (kv_heads_ == heads_) return rows;
    return rows.view({rows.size(0), kv_heads_, 1, head_dim_})
        .expand({rows.size(0), kv_heads_, heads_ / kv_heads_, head_dim_})
        .reshape({rows.size(0), heads_ * head_dim_});
  };
  return torch::cat(
      {q_proj_->forward(x), for_every_query(k_proj_->forward(x)), for_every_query(v_proj_->forward(x))}, 1);
}

torch::Tensor LlamaAttentionImpl::forward(const torch::Tensor& x, const Sequences& sequences,
                                          const std::vector<Looks>* looks, torch::Tensor* look_loss) {
  const AttentionShape shape{.batch = sequences.batch,
                             .tokens = x.size(0) / sequences.batch,
                             .heads = heads_,
                             .causal = true,
                             .mask = sequences.mask,
                             .past = sequences.past};
  return o_proj_->forward(Attention(QueriesKeysValues(x), shape, &sequences.rope, looks, look_loss));
}

LlamaMlpImpl::LlamaMlpImpl(const LlmConfig& config, const MatrixOptions& matrices)
    : gate_proj_(register_module("gate_proj", Projection(config.hidden, config.intermediate, matrices))),
      up_proj_(register_module("up_proj", Projection(config.hidden, config.intermediate, matrices))),
      down_proj_(register_module("down_proj", Projection(config.intermediate, config.hidden, matrices))) {}

torch::Tensor LlamaMlpImpl::forward(const torch::Tensor& x) {
  return down_proj_->forward(torch::silu(gate_proj_->forward(x)) * up_proj_->forward(x));
}

LlamaBlockImpl::LlamaBlockImpl(const LlmConfig& config, const MatrixOptions& matrices)
    : self_attn_(register_module("self_attn", LlamaAttention(config, matrices))),
      mlp_(register_module("mlp", LlamaMlp(config, matrices))),
      input_layernorm_(register_module("input_layernorm", RmsNorm(config.hidden, config.rms_eps))),
      post_attention_layernorm_(
          register_module("post_attention_layernorm", RmsNorm(config.hidden, config.rms_eps))) {}

torch::Tensor LlamaBlockImpl::forward(const torch::Tensor& x, const Sequences& sequences,
                                      const std::vector<Looks>* looks, torch::Tensor* look_loss) {
  const torch::Tensor attended =
      x + self_attn_->forward(input_layernorm_->forward(x), sequences, looks, look_loss);
  return attended + mlp_->forward(post_attention_layernorm_->forward(attended));
}

}  // namespace mobilevlm::train
