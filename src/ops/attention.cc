#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>

#include "ops/formats.h"

namespace mobilevlm {
namespace {

constexpr size_t kKeysPerBlock = kPanelK;  // one chain of the value product per block
constexpr size_t kRowsPerItem = 24 * kTileRows;

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// One call. The query heads that share a key head form one matrix of rows: row i is token i / group, head
// kv_head * group + i % group.
struct Job {
  const KernelTable& kernels;
  Mat<const float> q;
  Mat<float> out;
  KvView kv;
  bool causal;
  size_t first_position;
  size_t group;
  size_t width;         // of a panel
  size_t dim_chunks;    // of kPanelK, for the product over head_dim
  size_t value_panels;  // of `width`, over head_dim
  size_t element_bytes;

  size_t rows() const { return q.rows() * group; }
  // Keys that row i sees: [0, this).
  size_t Visible(size_t i) const { return causal ? first_position + i / group + 1 : kv.length; }
  size_t Column(size_t kv_head, size_t i) const { return (kv_head * group + i % group) * kv.head_dim; }
  const unsigned char* At(const void* base, size_t position, size_t kv_head) const {
    return static_cast<const unsigned char*>(base) +
           (position * kv.stride + kv_head * kv.head_dim) * element_bytes;
  }
};

// The buffers of one thread, cut from the caller's scratch.
struct Slot {
  float* keys;    // [key panels, dim_chunks, kPanelK, width]
  float* values;  // [value_panels, kKeysPerBlock, width]
  float* query;   // [dim_chunks, kTileRows, kTileStride]
  float* scores;  // [kTileRows, kTileStride]
  float* sums;    // [kRowsPerItem, value_panels * width]: unnormalised outputs
  float* max;     // [kRowsPerItem]: running maximum of the scores
  float* total;   // [kRowsPerItem]: running sum of exp(score - max)

  static size_t Floats(const Job& job) { return Slot().Cut(job, nullptr); }
  // Places the buffers from base on, or only counts if it is nullptr. Returns the floats used.
  size_t Cut(const Job& job, float* base) {
    size_t used = 0;
    const auto take = [&](float*& pointer, size_t n) {
      if (base != nullptr) pointer = base + used;
      used += RoundUp(n, 16);
    };
    take(keys, RoundUp(kKeysPerBlock, job.width) * job.dim_chunks * kPanelK);
    take(values, job.value_panels * kKeysPerBlock * job.width);
    take(query, job.dim_chunks * kTileRows * kTileStride);
    take(scores, kTileRows * kTileStride);
    take(sums, kRowsPerItem * job.value_panels * job.width);
    take(max, kRowsPerItem);
    take(total, kRowsPerItem);
    return used;
  }
};

void PackBlock(const Job& job, const Slot& slot, size_t kv_head, size_t begin, size_t count) {
  const size_t row_bytes = job.kv.stride * job.element_bytes;
  const KernelFormat format = GetKernelFormat(job.kv.type);
  for (size_t key = 0; key < count; key += job.width) {
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      const size_t d = chunk * kPanelK;
      job.kernels.pack_rows[format](
          job.At(job.kv.k, begin + key, kv_head) + d * job.element_bytes, row_bytes,
          std::min(job.width, count - key), std::min(kPanelK, job.kv.head_dim - d), nullptr,
          slot.keys + (key / job.width * job.dim_chunks + chunk) * kPanelK * job.width);
    }
  }
  for (size_t panel = 0; panel < job.value_panels; ++panel) {
    const size_t d = panel * job.width;
    job.kernels.pack_columns[format](job.At(job.kv.v, begin, kv_head) + d * job.element_bytes, row_bytes,
                                     std::min(job.width, job.kv.head_dim - d), count,
                                     slot.values + panel * kKeysPerBlock * job.width);
  }
}

// scores[r][key] = q[r] . k[key] / sqrt(head_dim) for `count` keys of the packed block.
void Scores(const Job& job, const Slot& slot, size_t kv_head, size_t first_row, size_t rows, size_t count) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(job.kv.head_dim));
  for (size_t r = 0; r < rows; ++r) {
    const size_t i = first_row + r;
    const float* q = job.q.row(i / job.group) + job.Column(kv_head, i);
    for (size_t d = 0; d < job.kv.head_dim; ++d) {
      slot.query[(d / kPanelK * kTileRows + r) * kTileStride + d % kPanelK] = q[d] * scale;
    }
    std::fill_n(slot.scores + r * kTileStride, count, 0.0f);
  }
  for (size_t key = 0; key < count; key += job.width) {
    for (size_t chunk = 0; chunk < job.dim_chunks; ++chunk) {
      job.kernels.gemm_panel(slot.query + chunk * kTileRows * kTileStride, rows,
                             slot.keys + (key / job.width * job.dim_chunks + chunk) * kPanelK * job.width,
                             std::min(kPanelK, job.kv.head_dim - chunk * kPanelK), slot.scores + key,
                             kTileStride, std::min(job.width, count - key));
    }
  }
}

// Turns one row of scores into exp(score - max) and rescales what the row has gathered before. `visible` of
// the `count` scores take part; the rest become 0.
void OnlineSoftmax(const Job& job, float* scores, size_t visible, size_t count, float* sums, float& max,
                   float& total) {
  if (visible > 0) {
    const float new_max = std::max(max, job.kernels.max(scores, visible));
    const float correction = std::exp(max - new_max);  // 0 at the first block
    total = total * correction + job.kernels.exp_sum(scores, visible, new_max);
    if (correction != 1.0f) job.kernels.scale(sums, job.value_panels * job.width, correction);
    max = new_max;
  }
  std::fill(scores + visible, scores + count, 0.0f);
}

// Rows [begin, end) of one key head, against all the keys they see.
void Attend(const Job& job, const Slot& slot, size_t kv_head, size_t begin, size_t end) {
  const size_t sums_stride = job.value_panels * job.width;
  std::fill_n(slot.max, end - begin, -std::numeric_limits<float>::infinity());
  std::fill_n(slot.total, end - begin, 0.0f);
  std::fill_n(slot.sums, (end - begin) * sums_stride, 0.0f);

  const size_t last_key = job.Visible(end - 1);  // rows see more keys the later they stand
  for (size_t block = 0; block < last_key; block += kKeysPerBlock) {
    PackBlock(job, slot, kv_head, block, std::min(kKeysPerBlock, last_key - block));
    for (size_t i = begin; i < end; i += kTileRows) {
      const size_t rows = std::min(kTileRows, end - i);
      const size_t seen = job.Visible(i + rows - 1);
      if (seen <= block) continue;
      const size_t count = std::min(kKeysPerBlock, seen - block);
      Scores(job, slot, kv_head, i, rows, count);
      float* sums = slot.sums + (i - begin) * sums_stride;
      for (size_t r = 0; r < rows; ++r) {
        const size_t limit = job.Visible(i + r);
        const size_t visible = limit > block ? std::min(count, limit - block) : 0;
        OnlineSoftmax(job, slot.scores + r * kTileStride, visible, count, sums + r * sums_stride,
                      slot.max[i - begin + r], slot.total[i - begin + r]);
      }
      for (size_t panel = 0; panel < job.value_panels; ++panel) {
        job.kernels.gemm_panel(slot.scores, rows, slot.values + panel * kKeysPerBlock * job.width, count,
                               sums + panel * job.width, sums_stride, job.width);
      }
    }
  }
  for (size_t i = begin; i < end; ++i) {
    float* out = job.out.row(i / job.group) + job.Column(kv_head, i);
    const float* sums = slot.sums + (i - begin) * sums_stride;
    for (size_t d = 0; d < job.kv.head_dim; ++d) out[d] = sums[d] / slot.total[i - begin];
  }
}

void Run(const OpsContext& ctx, Mat<const float> q, const KvView& kv, bool causal, size_t first_position,
         AttentionScratch& scratch, Mat<float> out) {
  MVLM_CHECK(kv.head_dim > 0 && kv.head_dim % 2 == 0, "head_dim {}", kv.head_dim);
  MVLM_CHECK(kv.kv_heads > 0 && q.cols() % (kv.head_dim * kv.kv_heads) == 0 && q.rows() == out.rows() &&
                 q.cols() == out.cols(),
             "q [{}, {}], out [{}, {}], {} key heads of {}", q.rows(), q.cols(), out.rows(), out.cols(),
             kv.kv_heads, kv.head_dim);
  MVLM_CHECK(kv.stride >= kv.kv_heads * kv.head_dim, "stride {}", kv.stride);
  MVLM_CHECK(kv.type == DType::kF32 || kv.type == DType::kF16, "keys of type {}", DTypeName(kv.type));
  if (q.rows() == 0 || q.cols() == 0) return;

  const size_t width = ctx.kernels->panel_width;
  const Job job{.kernels = *ctx.kernels,
                .q = q,
                .out = out,
                .kv = kv,
                .causal = causal,
                .first_position = first_position,
                .group = q.cols() / (kv.head_dim * kv.kv_heads),
                .width = width,
                .dim_chunks = (kv.head_dim + kPanelK - 1) / kPanelK,
                .value_panels = (kv.head_dim + width - 1) / width,
                .element_bytes = GetDTypeInfo(kv.type).block_bytes};
  const size_t parts = (job.rows() + kRowsPerItem - 1) / kRowsPerItem;
  const size_t items = kv.kv_heads * parts;
  const size_t slots = std::min(items, static_cast<size_t>(ctx.pool->threads()));
  const size_t slot_floats = Slot::Floats(job);
  float* buffer = scratch.buffer.Reserve(slots * slot_floats);

  std::atomic<size_t> next{0};
  const auto run_slot = [&](size_t s) {
    Slot slot{};
    slot.Cut(job, buffer + s * slot_floats);
    for (size_t i = next++; i < items; i = next++) {
      const size_t part = i % parts;
      Attend(job, slot, i / parts, part * job.rows() / parts, (part + 1) * job.rows() / parts);
    }
  };
  ctx.pool->ParallelFor(slots, std::ref(run_slot));
}

}  // namespace

void AttentionBidirectional(const OpsContext& ctx, Mat<const float> q, Mat<const float> k, Mat<const float> v,
                            size_t heads, AttentionScratch& scratch, Mat<float> out) {
  MVLM_CHECK(heads > 0 && q.cols() % heads == 0, "{} columns, {} heads", q.cols(), heads);
  MVLM_CHECK(k.rows() == v.rows() && k.cols() == q.cols() && v.cols() == q.cols() && k.stride() == v.stride(),
             "q [{}, {}], k [{}, {}], v [{}, {}]", q.rows(), q.cols(), k.rows(), k.cols(), v.rows(),
             v.cols());
  MVLM_CHECK(k.rows() > 0 || q.rows() == 0, "no keys");
  const KvView kv{.type = DType::kF32,
                  .k = k.data(),
                  .v = v.data(),
                  .stride = k.stride(),
                  .length = k.rows(),
                  .kv_heads = heads,
                  .head_dim = q.cols() / heads};
  Run(ctx, q, kv, false, 0, scratch, out);
}

void AttentionCausal(const OpsContext& ctx, Mat<const float> q, const KvView& kv, size_t first_position,
                     AttentionScratch& scratch, Mat<float> out) {
  MVLM_CHECK(kv.length >= q.rows() && first_position <= kv.length - q.rows(), "queries at [{}, +{}), {} keys",
             first_position, q.rows(), kv.length);
  Run(ctx, q, kv, true, first_position, scratch, out);
}

}  // namespace mobilevlm
