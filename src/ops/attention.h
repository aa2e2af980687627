// Scaled dot-product attention, softmax(q k^T / sqrt(head_dim)) v, blocked over the keys with an online
// softmax (Milakov and Gimelshein 2018; Dao et al. 2022): no [tokens, tokens] matrix exists in memory.
// Any even head_dim. Key blocks start at multiples of 256 positions, whatever the queries, so a query's
// result does not depend on the batch it came in or on the threads.
#pragma once

#include <cstddef>

#include "ops/context.h"
#include "tensor/dtype.h"
#include "tensor/mat.h"

namespace mobilevlm {

// Reusable buffers; grow-only, contents meaningless between calls, one caller at a time.
struct AttentionScratch {
  AlignedBuffer<float> buffer;
};

// Keys and values of one layer, [length, kv_heads * head_dim] each, read-only.
struct KvView {
  DType type = DType::kF32;  // F32 or F16
  const void* k = nullptr;
  const void* v = nullptr;
  size_t stride = 0;  // elements from one position to the next, >= kv_heads * head_dim
  size_t length = 0;  // positions that hold data
  size_t kv_heads = 0;
  size_t head_dim = 0;
};

// Every query sees every key (CLIPAttention). q, k, v, out: [tokens, heads * head_dim]; out may be q.
void AttentionBidirectional(const OpsContext& ctx, Mat<const float> q, Mat<const float> k, Mat<const float> v,
                            size_t heads, AttentionScratch& scratch, Mat<float> out);

// Query t stands at first_position + t and sees the keys at positions 0 .. first_position + t, which must
// already be in the cache: kv.length >= first_position + tokens (LlamaAttention). heads = q.cols() /
// kv.head_dim is a multiple of kv.kv_heads; consecutive query heads share a key head (grouped queries).
// q, out: [tokens, heads * head_dim]; out may be q.
void AttentionCausal(const OpsContext& ctx, Mat<const float> q, const KvView& kv, size_t first_position,
                     AttentionScratch& scratch, Mat<float> out);

}  // namespace mobilevlm
