// The LLaMA decoder (transformers' LlamaForCausalLM; MobileLLaMA and Vicuna): embeddings of text and
// visual tokens -> logits, with a key-value cache.
//
//   embeddings [tokens, hidden]  (EmbedTokens for ids; visual tokens are copied in as they are)
//   Forward(...)                 appends the tokens to the cache
//   Logits(...)                  only for the rows somebody looks at
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "llm/kv_cache.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/rope.h"
#include "schema/config.h"
#include "tensor/mat.h"
#include "weights/binder.h"

namespace mobilevlm {

struct LlmBlockWeights {                  // LlamaDecoderLayer
  std::span<const float> attention_norm;  // input_layernorm, [hidden]
  LinearWeights q;                        // [heads * head_dim, hidden], rows in GGUF's pair order
  LinearWeights k, v;                     // [kv_heads * head_dim, hidden]
  LinearWeights o;                        // [hidden, heads * head_dim]
  std::span<const float> ffn_norm;        // post_attention_layernorm, [hidden]
  LinearWeights gate, up;                 // [intermediate, hidden]
  LinearWeights down;                     // [hidden, intermediate]
};

// The matrices packed (ops/pack_weights.h, ops/float_panels.h), the embeddings a view into the mapped file,
// the norms widened to float. Movable only; immutable after Bind.
struct LlmWeights {
  LinearWeights token_embedding;  // [vocab, hidden]
  std::vector<LlmBlockWeights> blocks;
  std::span<const float> output_norm;  // [hidden]
  LinearWeights output;                // lm_head, [vocab, hidden]
  WeightStore store;

  // `file` must outlive the weights.
  static Result<LlmWeights> Bind(const GgufFile& file, const LlmConfig& config, ThreadPool* pool);
};

// Reusable buffers, one caller at a time.
struct LlmScratch {
  AttentionScratch attention;
  AlignedBuffer<float> normed, k, v;  // [tokens, hidden or kv_heads * head_dim]
  AlignedBuffer<float> q;             // [tokens, heads * head_dim]
  AlignedBuffer<float> gate, up;      // [tokens, intermediate]
  std::vector<AttentionPart> parts;   // [stretches]
  std::vector<size_t> part_rows;      // [stretches]: where each begins

  static uint64_t Bytes(const LlmConfig& config, size_t tokens);  // what they grow to
};

// Rows of the embedding table; every id is in [0, vocab). out: [ids, hidden].
void EmbedTokens(const OpsContext& ctx, const LlmWeights& weights, std::span<const int32_t> ids,
                 Mat<float> out);

// Consecutive rows of a pass that belong to one conversation.
struct Stretch {
  KvCache* cache = nullptr;  // each cache occurs once in a pass
  size_t tokens = 0;
};

// Runs all blocks on x [tokens of all stretches, hidden], in place, the tokens of a stretch standing at
// positions cache->length() ..; their keys and values are appended. The caches have room and the table covers
// it (callers check the context). The weights are read once for all stretches, and what a stretch gets does
// not depend on the others.
void Forward(const OpsContext& ctx, const LlmConfig& config, const LlmWeights& weights, const RopeTable& rope,
             std::span<const Stretch> stretches, LlmScratch& scratch, Mat<float> x);

// Final norm and lm_head: x [rows, hidden] as Forward left it, logits [rows, vocab].
void Logits(const OpsContext& ctx, const LlmConfig& config, const LlmWeights& weights, LlmScratch& scratch,
            Mat<const float> x, Mat<float> logits);

}  // namespace mobilevlm
