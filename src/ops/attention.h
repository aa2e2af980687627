// Scaled dot-product attention, softmax(q k^T / sqrt(head_dim)) v, blocked over the keys with an online
// softmax (Milakov and Gimelshein 2018; Dao et al. 2022): no [tokens, tokens] matrix exists in memory.
// Any even head_dim. None has code of its own: the kernels (kernels/simd/gemv-inl.h, matrix-inl.h) are
// unrolled by registers of outputs and inputs, and 64, 80 and 128 are whole registers of every instruction
// set; other sizes end in a part of one, which is slower. Key blocks start at multiples of 256 positions,
// whatever the queries, so a query's result does not depend on the batch it came in or on the threads. Sums
// are in float, whatever the type of the keys.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "ops/context.h"
#include "ops/kv_view.h"
#include "tensor/mat.h"

namespace mobilevlm {

struct AttentionJob;  // internal

// Reusable buffers; grow-only, contents meaningless between calls, one caller at a time.
struct AttentionScratch {
  AlignedBuffer<AttentionJob> jobs;  // one per part
  AlignedBuffer<float> buffer;
};

// Every query sees every key (CLIPAttention). q, k, v, out: [tokens, heads * head_dim]; out may be q.
void AttentionBidirectional(const OpsContext& ctx, Mat<const float> q, Mat<const float> k, Mat<const float> v,
                            size_t heads, AttentionScratch& scratch, Mat<float> out);

// Queries that share keys, and where their outputs go. q, out: [tokens, heads * head_dim]; out may be q.
struct AttentionPart {
  Mat<const float> q;
  KvView kv;
  size_t first_position;
  Mat<float> out;
};

// What has to happen before the keys of a head are read: storing the newest of them. Called once for each
// part and key head, from any thread of the pool, never two for the same. Where one thread reads a head's
// keys, as when a token is decoded, it is the one that called this: it then has them in its cache.
using BeforeKeys = std::function<void(size_t part, size_t kv_head)>;

// Query t stands at first_position + t and sees the keys at positions 0 .. first_position + t, which must
// be in the cache when `before` (if there is one) has run for them: kv.length >= first_position + tokens
// (LlamaAttention). `before` may change q too. heads = q.cols() / kv.head_dim is a multiple of kv.kv_heads;
// consecutive query heads share a key head (grouped queries). Several parts are what one call after the other
// gives.
void AttentionCausal(const OpsContext& ctx, std::span<const AttentionPart> parts, AttentionScratch& scratch,
                     const BeforeKeys& before = nullptr);
void AttentionCausal(const OpsContext& ctx, Mat<const float> q, const KvView& kv, size_t first_position,
                     AttentionScratch& scratch, Mat<float> out);

}  // namespace mobilevlm
