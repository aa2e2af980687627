#include "vision/clip_vision.h"

#include <algorithm>
#include <cstring>

#include "ops/activation.h"
#include "ops/norm.h"

namespace mobilevlm {
namespace {

// Fields of VisionScratch as matrices of this model's size.
struct Buffers {
  Buffers(const VisionConfig& config, VisionScratch& scratch, Mat<float> hidden_states)
      : hidden(hidden_states) {
    const size_t positions = 1 + static_cast<size_t>(config.patches());
    const size_t width = static_cast<size_t>(config.hidden);
    MVLM_CHECK(hidden.rows() == positions && hidden.cols() == width, "hidden [{}, {}]", hidden.rows(),
               hidden.cols());
    normed = scratch.normed.ReserveMat(positions, width);
    q = scratch.q.ReserveMat(positions, width);
    k = scratch.k.ReserveMat(positions, width);
    v = scratch.v.ReserveMat(positions, width);
    mlp = scratch.mlp.ReserveMat(positions, static_cast<size_t>(config.intermediate));
  }
  Mat<float> hidden, normed, q, k, v, mlp;
};

void Activate(const OpsContext& ctx, VisionActivation activation, Mat<float> x) {
  switch (activation) {
    case VisionActivation::kQuickGelu:
      return QuickGelu(ctx, x);
    case VisionActivation::kGelu:
      return Gelu(ctx, x);
    case VisionActivation::kSilu:
      return Silu(ctx, x);
  }
}

// CLIPEncoderLayer.forward: x += attention(ln1(x)); x += mlp(ln2(x)).
void Block(const OpsContext& ctx, const VisionConfig& config, const VisionBlockWeights& weights,
           AttentionScratch& attention, const Buffers& b) {
  // CLIPAttention: no mask, scale 1 / sqrt(head_dim).
  LayerNorm(ctx, b.hidden, weights.ln1.gamma, weights.ln1.beta, config.layer_norm_eps, b.normed);
  Linear(ctx, b.normed, {{&weights.q, b.q}, {&weights.k, b.k}, {&weights.v, b.v}});
  AttentionBidirectional(ctx, b.q, b.k, b.v, static_cast<size_t>(config.heads), attention, b.normed);
  Linear(ctx, b.normed, weights.out, b.q);
  AddInPlace(ctx, b.q, b.hidden);

  // CLIPMLP: fc2(quick_gelu(fc1(x))).
  LayerNorm(ctx, b.hidden, weights.ln2.gamma, weights.ln2.beta, config.layer_norm_eps, b.normed);
  Linear(ctx, b.normed, weights.fc1, b.mlp);
  Activate(ctx, config.activation, b.mlp);
  Linear(ctx, b.mlp, weights.fc2, b.normed);
  AddInPlace(ctx, b.normed, b.hidden);
}

}  // namespace

Result<VisionWeights> VisionWeights::Bind(const GgufFile& file, const VisionConfig& config, ThreadPool* pool,
                                          PackScales scales) {
  VisionWeights weights;
  MVLM_ASSIGN(const FfnNaming naming, DetectFfnNaming(file, config));
  MVLM_ASSIGN(auto binder,
              WeightBinder::Create(file, VisionTensors(config, naming), &weights.store, pool, scales));
  binder.AllowSplit();  // 577 positions at once: worth it, and a picture never joins others
  const std::string root(kHfVisionPrefix);
  weights.class_embedding = binder.Floats(root + "embeddings.class_embedding");
  weights.patch_embedding = binder.Matrix(root + "embeddings.patch_embedding.weight");
  weights.position_embedding = binder.FloatMatrix(root + "embeddings.position_embedding.weight",
                                                  1 + static_cast<size_t>(config.patches()));
  weights.pre_ln = binder.Norm(root + "pre_layrnorm");
  for (int i = 0; i < config.used_layers; ++i) {
    const std::string prefix = fmt::format("{}encoder.layers.{}.", root, i);
    VisionBlockWeights& block = weights.blocks.emplace_back();
    block.ln1 = binder.Norm(prefix + "layer_norm1");
    block.ln2 = binder.Norm(prefix + "layer_norm2");
    block.q = binder.MatrixAndBias(prefix + "self_attn.q_proj");
    block.k = binder.MatrixAndBias(prefix + "self_attn.k_proj");
    block.v = binder.MatrixAndBias(prefix + "self_attn.v_proj");
    block.out = binder.MatrixAndBias(prefix + "self_attn.out_proj");
    block.fc1 = binder.MatrixAndBias(prefix + "mlp.fc1");
    block.fc2 = binder.MatrixAndBias(prefix + "mlp.fc2");
  }
  MVLM_TRY(binder.status());
  return weights;
}

uint64_t VisionScratch::Bytes(const VisionConfig& config) {
  const uint64_t positions = 1 + static_cast<uint64_t>(config.patches());
  const uint64_t patch = static_cast<uint64_t>(config.patch_size);
  const uint64_t per_position = 5 * static_cast<uint64_t>(config.hidden) +
                                static_cast<uint64_t>(config.intermediate) + 3 * patch * patch;
  return positions * per_position * sizeof(float);
}

// CLIPVisionEmbeddings.forward, then CLIPVisionTransformer's pre_layrnorm. The class token comes FIRST:
// position 0 is its own, patch i stands at position 1 + i.
void EmbedPatches(const OpsContext& ctx, const VisionConfig& config, const VisionWeights& weights,
                  std::span<const float> pixels, VisionScratch& scratch, Mat<float> hidden) {
  const size_t side = static_cast<size_t>(config.image_size);
  MVLM_CHECK(pixels.size() == 3 * side * side, "{} pixel values for a side of {}", pixels.size(), side);
  std::copy(weights.class_embedding.begin(), weights.class_embedding.end(), hidden.row(0));
  PatchEmbed(ctx, pixels.data(), static_cast<size_t>(config.image_size),
             static_cast<size_t>(config.patch_size), weights.patch_embedding, scratch.patches,
             hidden.Rows(1, hidden.rows() - 1));
  AddInPlace(ctx, weights.position_embedding, hidden);
  LayerNorm(ctx, hidden, weights.pre_ln.gamma, weights.pre_ln.beta, config.layer_norm_eps, hidden);
}

void RunBlocks(const OpsContext& ctx, const VisionConfig& config, const VisionWeights& weights, size_t begin,
               size_t end, VisionScratch& scratch, Mat<float> hidden) {
  const Buffers buffers(config, scratch, hidden);
  for (size_t i = begin; i < end; ++i) Block(ctx, config, weights.blocks[i], scratch.attention, buffers);
}

void EncodeVision(const OpsContext& ctx, const VisionConfig& config, const VisionWeights& weights,
                  std::span<const float> pixels, VisionScratch& scratch, Mat<float> features) {
  const size_t patches = static_cast<size_t>(config.patches());
  MVLM_CHECK(features.rows() == patches && features.cols() == static_cast<size_t>(config.hidden));
  const Mat<float> hidden = scratch.hidden.ReserveMat(1 + patches, features.cols());
  EmbedPatches(ctx, config, weights, pixels, scratch, hidden);
  RunBlocks(ctx, config, weights, 0, weights.blocks.size(), scratch, hidden);
  // CLIPVisionTower.feature_select, "patch": row 0 is the class token. No post_layernorm: the official code
  // takes hidden_states, which come before it.
  for (size_t i = 0; i < patches; ++i) {
    std::memcpy(features.row(i), hidden.row(1 + i), features.cols() * sizeof(float));
  }
}

}  // namespace mobilevlm
