// The inside of attention: some rows of queries against all keys of one head, block by block.
#pragma once

#include <cstddef>
#include <type_traits>

#include "ops/context.h"
#include "ops/formats.h"
#include "ops/kv_view.h"
#include "tensor/mat.h"

namespace mobilevlm {

constexpr size_t kKeysPerBlock = kPanelK;  // one chain of the value product per block
static_assert(kKeysPerBlock % kKeyBlock == 0);

// The queries of one call that share keys. The query heads that share a key head form one matrix of rows: row
// i is token i / group, head kv_head * group + i % group.
struct AttentionJob {
  const KernelTable& kernels;
  size_t index;  // of the AttentionPart
  Mat<const float> q;
  Mat<float> out;
  KvView kv;
  KernelFormat format;  // of keys and values
  bool causal;
  size_t first_position;
  size_t group;
  size_t row_ranges;    // that rows are cut into: items per key head
  size_t end;           // of this job's items among those of all jobs
  bool in_place;        // few rows: keys and values are not packed, each row reads them where they are
  size_t width;         // of a panel
  size_t dim_chunks;    // of kPanelK, for the product over head_dim
  size_t value_panels;  // of `width`, over head_dim

  size_t rows() const { return q.rows() * group; }
  size_t sums_stride() const { return value_panels * width; }
  // Keys that row i sees: [0, this).
  size_t Visible(size_t i) const { return causal ? first_position + i / group + 1 : kv.length; }
  size_t Column(size_t kv_head, size_t i) const { return (kv_head * group + i % group) * kv.head_dim; }
  const unsigned char* At(const void* base, size_t kv_head, size_t position) const {
    return static_cast<const unsigned char*>(base) + kv_head * kv.head_bytes + position * kv.position_bytes;
  }
  bool key_blocks() const { return kv.key_order == KeyOrder::kBlocks; }
  // In blocks: bytes between elements d and d + 1 of a key.
  size_t key_step() const { return kKeyBlock * GetDTypeInfo(kv.type).block_bytes; }
  // In blocks: element d of the first key of the block that holds `position`.
  const unsigned char* KeyBlock(size_t kv_head, size_t position, size_t d) const {
    return static_cast<const unsigned char*>(kv.k) + kv_head * kv.head_bytes +
           KeyOffset(kv.type, kv.head_dim, position / kKeyBlock * kKeyBlock, d);
  }
  // Where the keys from `position` on begin, the first of a block.
  const unsigned char* FirstKey(size_t kv_head, size_t position) const {
    return key_blocks() ? KeyBlock(kv_head, position, 0) : At(kv.k, kv_head, position);
  }
};
static_assert(std::is_trivially_destructible_v<AttentionJob>);  // the scratch only forgets them

// The buffers of one thread, cut from the caller's scratch.
struct AttentionSlot {
  float* keys;    // [key panels, dim_chunks, kPanelK, width]
  float* values;  // [value_panels, kKeysPerBlock, width]
  float* query;   // [dim_chunks, kTileRows, kTileStride]
  float* scores;  // [kTileRows, kTileStride]
  float* sums;    // [rows of an item, sums_stride]: unnormalised outputs
  float* max;     // [rows of an item]: running maximum of the scores
  float* total;   // [rows of an item]: running sum of exp(score - max)

  static size_t Floats(const AttentionJob& job) { return AttentionSlot().Cut(job, nullptr); }
  // Places the buffers from base on, or only counts if it is nullptr. Returns the floats used.
  size_t Cut(const AttentionJob& job, float* base);
  float* Keys(const AttentionJob& job, size_t key, size_t chunk) const {
    return keys + (key / job.width * job.dim_chunks + chunk) * kPanelK * job.width;
  }
};

// Rows [begin, end) of one key head, against all the keys they see.
void Attend(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t begin, size_t end);

}  // namespace mobilevlm
