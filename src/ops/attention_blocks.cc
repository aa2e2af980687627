#include "ops/attention_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/divide_up.h"

namespace mobilevlm {
namespace {

constexpr size_t kTileFloats = kTileRows * kTileStride;

// Elements [first, first + depth) of a row of keys, a chunk of kPanelK or what is left, whole blocks.
struct Chunk {
  size_t first, depth;
  size_t offset;  // bytes from the row's start
};
Chunk GetChunk(const AttentionJob& job, size_t chunk) {
  const DTypeInfo& type = GetDTypeInfo(job.kv.type);
  const size_t first = chunk * kPanelK;
  return {first, std::min(kPanelK, job.kv.head_dim - first), first / type.block_size * type.block_bytes};
}

// Keys and values [begin, begin + count) of one head, the way gemm_panel takes them.
void PackBlock(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t begin,
               size_t count) {
  const size_t block_size = GetDTypeInfo(job.kv.type).block_size;
  for (size_t key = 0; key < count; key += job.width) {
    const unsigned char* keys = job.At(job.kv.k, kv_head, begin + key);
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      const Chunk c = GetChunk(job, chunk);
      if (job.key_blocks()) {
        job.kernels.pack_columns[job.format](job.KeyBlock(kv_head, begin + key, c.first), job.key_step(),
                                             (begin + key) % kKeyBlock, std::min(job.width, count - key),
                                             c.depth, slot.Keys(job, key, chunk));
        continue;
      }
      job.kernels.pack_rows[job.format](keys + c.offset, job.kv.position_bytes,
                                        std::min(job.width, count - key), RoundUp(c.depth, block_size),
                                        keys + job.width * job.kv.position_bytes, slot.Keys(job, key, chunk));
    }
  }
  for (size_t panel = 0; panel < job.value_panels; ++panel) {
    const size_t d = panel * job.width;
    job.kernels.pack_columns[job.format](job.At(job.kv.v, kv_head, begin), job.kv.position_bytes, d,
                                         std::min(job.width, job.kv.head_dim - d), count,
                                         slot.values + panel * kKeysPerBlock * job.width);
  }
}

// The part of Scores for keys in blocks that are read in place.
void BlockScores(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t rows,
                 size_t block, size_t count) {
  for (size_t key = 0; key < count; key += kKeyBlock) {
    // Behind the keys of this block come its values.
    const unsigned char* behind = key + kKeyBlock < count ? job.KeyBlock(kv_head, block + key + kKeyBlock, 0)
                                                          : job.At(job.kv.v, kv_head, block);
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      const Chunk c = GetChunk(job, chunk);
      const unsigned char* keys = job.KeyBlock(kv_head, block + key, c.first);
      const unsigned char* next = chunk + 1 < job.dim_chunks ? keys + c.depth * job.key_step() : behind;
      for (size_t r = 0; r < rows; ++r) {
        job.kernels.gemv_columns[job.format](slot.query + chunk * kTileFloats + r * kTileStride, keys,
                                             job.key_step(), std::min(kKeyBlock, count - key), c.depth, next,
                                             slot.scores + r * kTileStride + key);
      }
    }
  }
}

// scores[r][key] = q[r] . k[key] / sqrt(head_dim) for the keys [block, block + count), packed or in place.
void Scores(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t first_row, size_t rows,
            size_t block, size_t count) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(job.kv.head_dim));
  for (size_t r = 0; r < rows; ++r) {
    const size_t i = first_row + r;
    const float* q = job.q.row(i / job.group) + job.Column(kv_head, i);
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      const size_t depth = std::min(kPanelK, job.kv.head_dim - chunk * kPanelK);
      float* to = slot.query + chunk * kTileFloats + r * kTileStride;
      std::memcpy(to, q + chunk * kPanelK, depth * sizeof(float));
      job.kernels.scale(to, depth, scale);
    }
  }
  std::memset(slot.scores, 0, rows * kTileStride * sizeof(float));  // in one piece: quicker than its rows
  if (job.in_place && job.key_blocks()) return BlockScores(job, slot, kv_head, rows, block, count);
  for (size_t key = 0; key < count; key += job.width) {
    const size_t keys = std::min(job.width, count - key);
    const unsigned char* here = job.At(job.kv.k, kv_head, block + key);
    // What will be read next: the keys behind, or the values of this block.
    const unsigned char* next =
        key + job.width < count ? here + job.width * job.kv.position_bytes : job.At(job.kv.v, kv_head, block);
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      const Chunk c = GetChunk(job, chunk);
      const float* query = slot.query + chunk * kTileFloats;
      if (!job.in_place) {
        job.kernels.gemm_panel(query, rows, slot.Keys(job, key, chunk), c.depth, slot.scores + key,
                               kTileStride, keys);
        continue;
      }
      for (size_t r = 0; r < rows; ++r) {
        job.kernels.gemv_rows[job.format](query + r * kTileStride, here + c.offset, job.kv.position_bytes,
                                          keys, c.depth, next + c.offset,
                                          slot.scores + r * kTileStride + key);
      }
    }
  }
}

// sums[r] += scores[r] . values for the keys [block, block + count), packed or in place.
void AddValues(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t rows, size_t block,
               size_t count, float* sums) {
  if (job.in_place) {
    const size_t behind = block + kKeysPerBlock;
    const unsigned char* next = behind < job.kv.length          ? job.FirstKey(kv_head, behind)
                                : kv_head + 1 < job.kv.kv_heads ? job.FirstKey(kv_head + 1, 0)
                                                                : nullptr;
    for (size_t r = 0; r < rows; ++r) {
      job.kernels.gemv_columns[job.format](slot.scores + r * kTileStride, job.At(job.kv.v, kv_head, block),
                                           job.kv.position_bytes, job.kv.head_dim, count, next,
                                           sums + r * job.sums_stride());
    }
    return;
  }
  for (size_t panel = 0; panel < job.value_panels; ++panel) {
    job.kernels.gemm_panel(slot.scores, rows, slot.values + panel * kKeysPerBlock * job.width, count,
                           sums + panel * job.width, job.sums_stride(), job.width);
  }
}

// Turns one row of scores into exp(score - max) and rescales what the row has gathered before. `visible` of
// the `count` scores take part; the rest become 0.
void OnlineSoftmax(const AttentionJob& job, float* scores, size_t visible, size_t count, float* sums,
                   float& max, float& total) {
  if (visible > 0) {
    const float new_max = std::max(max, job.kernels.max(scores, visible));
    const float correction = std::exp(max - new_max);  // 0 at the first block
    total = total * correction + job.kernels.exp_sum(scores, visible, new_max);
    if (correction != 1.0f) job.kernels.scale(sums, job.sums_stride(), correction);
    max = new_max;
  }
  if (visible < count) std::memset(scores + visible, 0, (count - visible) * sizeof(float));
}

// Rows [begin, end), at most a tile, against the keys [block, block + kKeysPerBlock) that they see. The
// pointers belong to row `begin`.
void AttendTile(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t begin, size_t end,
                size_t block, float* sums, float* max, float* total) {
  const size_t seen = job.Visible(end - 1);  // rows see more keys the later they stand
  if (seen <= block) return;
  const size_t count = std::min(kKeysPerBlock, seen - block);
  Scores(job, slot, kv_head, begin, end - begin, block, count);
  for (size_t r = 0; r < end - begin; ++r) {
    const size_t limit = job.Visible(begin + r);
    const size_t visible = limit > block ? std::min(count, limit - block) : 0;
    OnlineSoftmax(job, slot.scores + r * kTileStride, visible, count, sums + r * job.sums_stride(), max[r],
                  total[r]);
  }
  AddValues(job, slot, kv_head, end - begin, block, count, sums);
}

}  // namespace

size_t AttentionSlot::Cut(const AttentionJob& job, float* base) {
  size_t used = 0;
  const auto take = [&](float*& pointer, size_t n) {
    if (base != nullptr) pointer = base + used;
    used += RoundUp(n, 16);
  };
  const size_t rows = (job.rows() + job.row_ranges - 1) / job.row_ranges;
  if (!job.in_place) {
    take(keys, RoundUp(kKeysPerBlock, job.width) * job.dim_chunks * kPanelK);
    take(values, kKeysPerBlock * job.sums_stride());
  }
  take(query, job.dim_chunks * kTileFloats);
  take(scores, kTileFloats);
  take(sums, rows * job.sums_stride());
  take(max, rows);
  take(total, rows);
  return used;
}
void Attend(const AttentionJob& job, const AttentionSlot& slot, size_t kv_head, size_t begin, size_t end) {
  const size_t rows = end - begin;
  std::fill_n(slot.max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(slot.total, rows, 0.0f);
  std::fill_n(slot.sums, rows * job.sums_stride(), 0.0f);

  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  const size_t last_key = job.Visible(end - 1);
  for (size_t block = 0; block < last_key; block += kKeysPerBlock) {
    if (!job.in_place) PackBlock(job, slot, kv_head, block, std::min(kKeysPerBlock, last_key - block));
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t from = tile * rows / tiles;  // as even as possible
      const size_t to = (tile + 1) * rows / tiles;
      AttendTile(job, slot, kv_head, begin + from, begin + to, block, slot.sums + from * job.sums_stride(),
                 slot.max + from, slot.total + from);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    float* sums = slot.sums + r * job.sums_stride();
    job.kernels.scale(sums, job.kv.head_dim, 1.0f / slot.total[r]);
    std::memcpy(job.out.row((begin + r) / job.group) + job.Column(kv_head, begin + r), sums,
                job.kv.head_dim * sizeof(float));
  }
}

}  // namespace mobilevlm
