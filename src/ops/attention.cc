#include "ops/attention.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "ops/attention_blocks.h"

namespace mobilevlm {
namespace {

// Rows that share one packing of the keys: enough that packing costs little, few enough that what the rows
// gather stays in L2.
constexpr size_t kLeastRowsPerItem = 16 * kTileRows;
constexpr size_t kMostRowsPerItem = 26 * kTileRows;
// Packing a block costs about as much as two rows.
constexpr size_t kMostRowsInPlace = 2;

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
    slot_floats = std::max(slot_floats, AttentionSlot::Floats(job));
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
    AttentionSlot slot{};
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
