#include "llm/llama.h"

#include <functional>
#include <vector>

#include "ops/activation.h"
#include "ops/embedding.h"
#include "ops/norm.h"

namespace mobilevlm {
namespace {

// Fields of LlmScratch as matrices for this many tokens.
struct Buffers {
  Buffers(const LlmConfig& config, size_t tokens, LlmScratch& scratch) {
    const size_t head_dim = static_cast<size_t>(config.head_dim);
    const size_t intermediate = static_cast<size_t>(config.intermediate);
    normed = scratch.normed.ReserveMat(tokens, static_cast<size_t>(config.hidden));
    q = scratch.q.ReserveMat(tokens, static_cast<size_t>(config.heads) * head_dim);
    k = scratch.k.ReserveMat(tokens, static_cast<size_t>(config.kv_heads) * head_dim);
    v = scratch.v.ReserveMat(tokens, static_cast<size_t>(config.kv_heads) * head_dim);
    gate = scratch.gate.ReserveMat(tokens, intermediate);
    up = scratch.up.ReserveMat(tokens, intermediate);
  }
  Mat<float> normed, q, k, v, gate, up;
};

// LlamaAttention.forward, causal; x += o(attention(...)).
void Attention(const OpsContext& ctx, const LlmConfig& config, const LlmBlockWeights& weights, size_t layer,
               const RopeTable& rope, std::span<const Stretch> stretches, LlmScratch& scratch,
               const Buffers& b, Mat<float> x) {
  RmsNorm(ctx, x, weights.attention_norm, config.rms_eps, b.normed);
  Linear(ctx, b.normed, {{&weights.q, b.q}, {&weights.k, b.k}, {&weights.v, b.v}});
  std::vector<AttentionPart>& parts = scratch.parts;
  std::vector<size_t>& rows = scratch.part_rows;
  parts.clear();
  rows.clear();
  size_t row = 0;
  for (const Stretch& stretch : stretches) {
    const size_t start = stretch.cache->length();
    const Mat<float> q = b.q.Rows(row, stretch.tokens);
    parts.push_back({q, stretch.cache->View(layer, start + stretch.tokens), start, q});
    rows.push_back(row);
    row += stretch.tokens;
  }
  const size_t head_dim = static_cast<size_t>(config.head_dim);
  const size_t group = static_cast<size_t>(config.heads / config.kv_heads);
  const auto rotate_and_store = [&](size_t part, size_t head) {
    KvCache& cache = *stretches[part].cache;
    cache.PrefetchHead(layer, head);
    const size_t tokens = stretches[part].tokens, start = cache.length();
    const Mat<float> q = b.q.Rows(rows[part], tokens).Cols(head * group * head_dim, group * head_dim);
    const Mat<float> k = b.k.Rows(rows[part], tokens).Cols(head * head_dim, head_dim);
    const Mat<float> v = b.v.Rows(rows[part], tokens).Cols(head * head_dim, head_dim);
    ApplyRope(*ctx.kernels, rope, start, q);
    ApplyRope(*ctx.kernels, rope, start, k);
    cache.StoreHead(*ctx.kernels, layer, head, k, v);
  };
  AttentionCausal(ctx, parts, scratch.attention, std::ref(rotate_and_store));
  Linear(ctx, b.q, weights.o, b.normed);
  AddInPlace(ctx, b.normed, x);
}

// LlamaMLP.forward: x += down(silu(gate(x)) * up(x)).
void Mlp(const OpsContext& ctx, const LlmConfig& config, const LlmBlockWeights& weights, const Buffers& b,
         Mat<float> x) {
  RmsNorm(ctx, x, weights.ffn_norm, config.rms_eps, b.normed);
  Linear(ctx, b.normed, {{&weights.gate, b.gate}, {&weights.up, b.up}});
  SwiGlu(ctx, b.gate, b.up, b.gate);
  Linear(ctx, b.gate, weights.down, b.normed);
  AddInPlace(ctx, b.normed, x);
}

}  // namespace

Result<LlmWeights> LlmWeights::Bind(const GgufFile& file, const LlmConfig& config, ThreadPool* pool) {
  LlmWeights weights;
  MVLM_ASSIGN(auto binder, WeightBinder::Create(file, LlmTensors(config), &weights.store, pool));
  binder.PackFloats();  // decoding is as fast as their reading
  weights.token_embedding = binder.Table("model.embed_tokens.weight");
  for (int i = 0; i < config.layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    LlmBlockWeights& block = weights.blocks.emplace_back();
    block.attention_norm = binder.Floats(prefix + "input_layernorm.weight");
    block.q = binder.Matrix(prefix + "self_attn.q_proj.weight");
    block.k = binder.Matrix(prefix + "self_attn.k_proj.weight");
    block.v = binder.Matrix(prefix + "self_attn.v_proj.weight");
    block.o = binder.Matrix(prefix + "self_attn.o_proj.weight");
    block.ffn_norm = binder.Floats(prefix + "post_attention_layernorm.weight");
    block.gate = binder.Matrix(prefix + "mlp.gate_proj.weight");
    block.up = binder.Matrix(prefix + "mlp.up_proj.weight");
    block.down = binder.Matrix(prefix + "mlp.down_proj.weight");
  }
  weights.output_norm = binder.Floats("model.norm.weight");
  weights.output = binder.Matrix("lm_head.weight");
  MVLM_TRY(binder.status());
  return weights;
}

uint64_t LlmScratch::Bytes(const LlmConfig& config, size_t tokens) {
  const uint64_t head_dim = static_cast<uint64_t>(config.head_dim);
  const uint64_t per_token = static_cast<uint64_t>(config.hidden) +
                             static_cast<uint64_t>(config.heads + 2 * config.kv_heads) * head_dim +
                             2 * static_cast<uint64_t>(config.intermediate);
  return per_token * tokens * sizeof(float);
}

void EmbedTokens(const OpsContext& ctx, const LlmWeights& weights, std::span<const int32_t> ids,
                 Mat<float> out) {
  GatherRows(ctx, weights.token_embedding, ids, out);
}

void Forward(const OpsContext& ctx, const LlmConfig& config, const LlmWeights& weights, const RopeTable& rope,
             std::span<const Stretch> stretches, LlmScratch& scratch, Mat<float> x) {
  MVLM_CHECK(x.cols() == static_cast<size_t>(config.hidden), "{} columns", x.cols());
  size_t tokens = 0;
  for (const Stretch& stretch : stretches) {
    const size_t end = stretch.cache->length() + stretch.tokens;
    MVLM_CHECK(end <= rope.positions(), "position {} of {}", end, rope.positions());
    tokens += stretch.tokens;
  }
  MVLM_CHECK(tokens == x.rows(), "stretches of {} tokens, {} rows", tokens, x.rows());
  const Buffers buffers(config, x.rows(), scratch);
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    Attention(ctx, config, weights.blocks[layer], layer, rope, stretches, scratch, buffers, x);
    Mlp(ctx, config, weights.blocks[layer], buffers, x);
  }
  for (const Stretch& stretch : stretches) stretch.cache->Advance(stretch.tokens);
}

void Logits(const OpsContext& ctx, const LlmConfig& config, const LlmWeights& weights, LlmScratch& scratch,
            Mat<const float> x, Mat<float> logits) {
  const Mat<float> normed = scratch.normed.ReserveMat(x.rows(), x.cols());
  RmsNorm(ctx, x, weights.output_norm, config.rms_eps, normed);
  Linear(ctx, normed, weights.output, logits);
}

}  // namespace mobilevlm
