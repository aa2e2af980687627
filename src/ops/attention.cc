#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <type_traits>

#include "base/divide_up.h"
#include "ops/formats.h"

namespace mobilevlm {
namespace {

constexpr size_t kKeysPerBlock = kPanelK;  // one chain of the value product per block
static_assert(kKeysPerBlock % kKeyBlock == 0);
constexpr size_t kTileFloats = kTileRows * kTileStride;
// Rows that share one packing of the keys: enough that packing costs little, few enough that what the rows
// gather stays in L2.
constexpr size_t kLeastRowsPerItem = 16 * kTileRows;
constexpr size_t kMostRowsPerItem = 26 * kTileRows;
// Packing a block costs about as much as two rows.
constexpr size_t kMostRowsInPlace = 2;

}  // namespace

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

namespace {

// The buffers of one thread, cut from the caller's scratch.
struct Slot {
  float* keys;    // [key panels, dim_chunks, kPanelK, width]
  float* values;  // [value_panels, kKeysPerBlock, width]
  float* query;   // [dim_chunks, kTileRows, kTileStride]
  float* scores;  // [kTileRows, kTileStride]
  float* sums;    // [rows of an item, sums_stride]: unnormalised outputs
  float* max;     // [rows of an item]: running maximum of the scores
  float* total;   // [rows of an item]: running sum of exp(score - max)

  static size_t Floats(const AttentionJob& job) { return Slot().Cut(job, nullptr); }
  // Places the buffers from base on, or only counts if it is nullptr. Returns the floats used.
  size_t Cut(const AttentionJob& job, float* base) {
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
  float* Keys(const AttentionJob& job, size_t key, size_t chunk) const {
    return keys + (key / job.width * job.dim_chunks + chunk) * kPanelK * job.width;
  }
};

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
void PackBlock(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t begin, size_t count) {
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
void BlockScores(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t rows, size_t block,
                 size_t count) {
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
void Scores(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t first_row, size_t rows,
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
void AddValues(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t rows, size_t block,
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
void AttendTile(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t begin, size_t end,
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

// Rows [begin, end) of one key head, against all the keys they see.
void Attend(const AttentionJob& job, const Slot& slot, size_t kv_head, size_t begin, size_t end) {
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

// Into how many ranges the rows of a key head are cut, an item each. As many as the threads if the rows are
// many, so that each thread has rows of its own (it also norms and multiplies them); else the key heads are
// what is shared out.
size_t RowRanges(size_t rows, size_t threads) {
  const size_t least = (rows + kMostRowsPerItem - 1) / kMostRowsPerItem;
  return std::max(least, std::min(threads, rows / kLeastRowsPerItem));
}

AttentionJob MakeJob(const OpsContext& ctx, std::span<const AttentionPart> parts, size_t index, bool causal) {
  const auto& [q, kv, first_position, out] = parts[index];
  MVLM_CHECK(kv.head_dim > 0 && kv.head_dim % 2 == 0, "head_dim {}", kv.head_dim);
  MVLM_CHECK(kv.kv_heads > 0 && q.cols() % (kv.head_dim * kv.kv_heads) == 0 && q.rows() == out.rows() &&
                 q.cols() == out.cols(),
             "q [{}, {}], out [{}, {}], {} key heads of {}", q.rows(), q.cols(), out.rows(), out.cols(),
             kv.kv_heads, kv.head_dim);
  MVLM_CHECK(kv.key_order == KeyOrder::kRows || kKeyBlock % ctx.kernels->panel_width == 0, "panels of {}",
             ctx.kernels->panel_width);
  MVLM_CHECK(kv.position_bytes >= KvPositionBytes(kv.type, kv.head_dim), "{} bytes per position",
             kv.position_bytes);
  const size_t width = ctx.kernels->panel_width;
  const size_t group = q.cols() / (kv.head_dim * kv.kv_heads);
  const size_t threads = static_cast<size_t>(ctx.pool->threads());
  return {.kernels = *ctx.kernels,
          .index = index,
          .q = q,
          .out = out,
          .kv = kv,
          .format = GetKernelFormat(kv.type),
          .causal = causal,
          .first_position = first_position,
          .group = group,
          .row_ranges = RowRanges(q.rows() * group, threads),
          .end = 0,
          .in_place = q.rows() * group <= kMostRowsInPlace,
          .width = width,
          .dim_chunks = (kv.head_dim + kPanelK - 1) / kPanelK,
          .value_panels = (kv.head_dim + width - 1) / width};
}

// One loop over the threads for all parts: streams that decode together have one query each.
void Run(const OpsContext& ctx, std::span<const AttentionPart> parts, bool causal, AttentionScratch& scratch,
         const BeforeKeys& before) {
  AttentionJob* const first = scratch.jobs.Reserve(parts.size());
  size_t count = 0, items = 0, slot_floats = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].q.rows() == 0 || parts[i].q.cols() == 0) continue;
    AttentionJob& job = *std::construct_at(first + count++, MakeJob(ctx, parts, i, causal));
    items += job.kv.kv_heads * job.row_ranges;
    job.end = items;
    slot_floats = std::max(slot_floats, Slot::Floats(job));
    if (before != nullptr && job.row_ranges > 1) {  // the items of a head would have to wait for one of them
      const auto head = [&](size_t kv_head) { before(i, kv_head); };
      ctx.pool->ParallelFor(job.kv.kv_heads, std::ref(head));
    }
  }
  const std::span<const AttentionJob> jobs(first, count);
  float* buffer = scratch.buffer.Reserve(static_cast<size_t>(ctx.pool->threads()) * slot_floats);
  const auto item = [&](size_t i, size_t thread) {
    const AttentionJob& job = *std::ranges::upper_bound(jobs, i, {}, &AttentionJob::end);
    const size_t own = i - (job.end - job.kv.kv_heads * job.row_ranges), range = own / job.kv.kv_heads;
    const size_t kv_head = own % job.kv.kv_heads;
    if (before != nullptr && job.row_ranges == 1) before(job.index, kv_head);
    Slot slot{};
    slot.Cut(job, buffer + thread * slot_floats);
    Attend(job, slot, kv_head, range * job.rows() / job.row_ranges,
           (range + 1) * job.rows() / job.row_ranges);
  };
  ctx.pool->ParallelFor(items, std::ref(item));
}

}  // namespace

void AttentionBidirectional(const OpsContext& ctx, Mat<const float> q, Mat<const float> k, Mat<const float> v,
                            size_t heads, AttentionScratch& scratch, Mat<float> out) {
  MVLM_CHECK(heads > 0 && q.cols() % heads == 0, "{} columns, {} heads", q.cols(), heads);
  MVLM_CHECK(k.rows() == v.rows() && k.cols() == q.cols() && v.cols() == q.cols() && k.stride() == v.stride(),
             "q [{}, {}], k [{}, {}], v [{}, {}]", q.rows(), q.cols(), k.rows(), k.cols(), v.rows(),
             v.cols());
  MVLM_CHECK(k.rows() > 0 || q.rows() == 0, "no keys");
  const size_t head_dim = q.cols() / heads;
  const KvView kv{.type = DType::kF32,
                  .k = k.data(),
                  .v = v.data(),
                  .position_bytes = k.stride() * sizeof(float),
                  .head_bytes = head_dim * sizeof(float),
                  .length = k.rows(),
                  .kv_heads = heads,
                  .head_dim = head_dim};
  const AttentionPart part{q, kv, 0, out};
  Run(ctx, {&part, 1}, false, scratch, nullptr);
}

void AttentionCausal(const OpsContext& ctx, std::span<const AttentionPart> parts, AttentionScratch& scratch,
                     const BeforeKeys& before) {
  for (const AttentionPart& part : parts) {
    const size_t tokens = part.q.rows();
    MVLM_CHECK(part.kv.length >= tokens && part.first_position <= part.kv.length - tokens,
               "queries at [{}, +{}), {} keys", part.first_position, tokens, part.kv.length);
  }
  Run(ctx, parts, true, scratch, before);
}

void AttentionCausal(const OpsContext& ctx, Mat<const float> q, const KvView& kv, size_t first_position,
                     AttentionScratch& scratch, Mat<float> out) {
  const AttentionPart part{q, kv, first_position, out};
  AttentionCausal(ctx, {&part, 1}, scratch);
}

}  // namespace mobilevlm
