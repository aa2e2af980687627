#include "ops/linear_split.h"

#include <algorithm>
#include <functional>

#include "base/divide_up.h"
#include "kernels/split_kernels.h"
#include "ops/formats.h"
#include "ops/linear_outputs.h"

namespace mobilevlm {
namespace {

// Inputs whose weights are split before the tokens pass over them: 32 rows of x, 128 KiB, meet kMostPairs
// pairs of panels, 512 KiB, and all stay in the second-level cache meanwhile.
constexpr size_t kSteps = 32;
constexpr size_t kMostPairs = 4;
// Items per thread, so that all finish together.
constexpr size_t kItemsPerThread = 3;

struct Job {
  const KernelTable& kernels;
  Mat<const float> x;
  size_t steps;       // over all inputs
  size_t tiles;       // of kSplitRows tokens
  size_t most_pairs;  // pairs of panels per item
  uint16_t* split_x;  // [tiles, steps, kSplitStep]

  size_t Rows(size_t tile) const { return std::min(kSplitRows, x.rows() - tile * kSplitRows); }
  uint16_t* Tile(size_t tile, size_t step) const { return split_x + (tile * steps + step) * kSplitStep; }
  size_t panel_steps() const { return std::min(steps, kSteps); }
};

// The buffers of one thread.
struct Slot {
  uint16_t* panels;  // [pairs, panel_steps, kSplitStep]
  float* bias;       // [pairs, kSplitRows]
  float* sums;       // [tiles, pairs, kSplitRows, kSplitRows]: of the inputs so far

  static size_t Bytes(const Job& job) {
    const size_t sums = job.steps > kSteps ? job.tiles * kSplitRows * kSplitRows : 0;
    return job.most_pairs *
           (job.panel_steps() * kSplitStep * sizeof(uint16_t) + (kSplitRows + sums) * sizeof(float));
  }
  Slot(const Job& job, std::byte* base)
      : panels(reinterpret_cast<uint16_t*>(base)),
        bias(reinterpret_cast<float*>(panels + job.most_pairs * job.panel_steps() * kSplitStep)),
        sums(bias + job.most_pairs * kSplitRows) {}
};

// Outputs [begin, end) of one part: what one thread computes at a time.
struct Item {
  const LinearPart* part;
  size_t begin, end;

  size_t pairs() const { return DivideUp(end - begin, kSplitRows); }
  size_t Outputs(size_t pair) const { return std::min(kSplitRows, end - begin - pair * kSplitRows); }
};

// The weights of the item for `steps` steps from `step` on.
void SplitPanels(const Job& job, const Item& item, size_t step, size_t steps, uint16_t* panels) {
  const LinearWeights& w = *item.part->w;
  const auto split = job.kernels.split->split_weights[GetKernelFormat(w.type)];
  const size_t first = step * kSplitInputs, count = std::min(steps * kSplitInputs, w.in - first);
  const std::byte* inputs = w.data + RowBytes(w.type, first).value();
  for (size_t pair = 0; pair < item.pairs(); ++pair) {
    const size_t row = item.begin + pair * kSplitRows, next = row + kSplitRows;
    split(inputs + row * w.row_bytes, w.row_bytes, item.Outputs(pair), count,
          next < item.end ? inputs + next * w.row_bytes : nullptr,
          panels + pair * job.panel_steps() * kSplitStep);
  }
}

// One tile of tokens times the pairs of panels.
void MultiplyTile(const Job& job, const Item& item, size_t step, size_t steps, size_t tile,
                  const Slot& slot) {
  const Mat<float> y = item.part->y;
  const bool last = step + steps == job.steps;
  for (size_t pair = 0; pair < item.pairs(); ++pair) {
    float* sums = slot.sums + (tile * job.most_pairs + pair) * kSplitRows * kSplitRows;
    const StartSums start =
        step == 0 ? StartSums{slot.bias + pair * kSplitRows, 0} : StartSums{sums, kSplitRows};
    const PairSums to = last ? PairSums{y.row(tile * kSplitRows) + item.begin + pair * kSplitRows, y.stride()}
                             : PairSums{sums, kSplitRows};
    job.kernels.split->gemm(job.Tile(tile, step), job.Rows(tile),
                            slot.panels + pair * job.panel_steps() * kSplitStep, steps, start, to,
                            item.Outputs(pair));
  }
}

void MultiplyItem(const Job& job, const Item& item, const Slot& slot) {
  CopyBias(*item.part->w, item.begin, {slot.bias, job.most_pairs * kSplitRows});
  job.kernels.split->begin();
  for (size_t step = 0; step < job.steps; step += kSteps) {
    const size_t steps = std::min(kSteps, job.steps - step);
    SplitPanels(job, item, step, steps, slot.panels);
    for (size_t tile = 0; tile < job.tiles; ++tile) MultiplyTile(job, item, step, steps, tile, slot);
  }
  job.kernels.split->end();
}

// Item i of all parts', each cut into pieces of `outputs`.
Item FindItem(std::span<const LinearPart> parts, size_t outputs, size_t i) {
  const LinearPart* part = parts.data();
  for (size_t items = DivideUp(part->w->out, outputs); i >= items; items = DivideUp(part->w->out, outputs)) {
    i -= items;
    ++part;
  }
  return {part, i * outputs, std::min(part->w->out, (i + 1) * outputs)};
}

}  // namespace

void LinearSplit(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts) {
  const size_t threads = static_cast<size_t>(ctx.pool->threads());
  size_t pairs = 0;
  for (const LinearPart& part : parts) pairs += DivideUp(part.w->out, kSplitRows);
  Job job{.kernels = *ctx.kernels,
          .x = x,
          .steps = SplitSteps(x.cols()),
          .tiles = DivideUp(x.rows(), kSplitRows),
          .most_pairs = std::clamp<size_t>(pairs / (threads * kItemsPerThread), 1, kMostPairs),
          .split_x = nullptr};
  const size_t x_bytes = job.tiles * job.steps * kSplitStep * sizeof(uint16_t);
  std::byte* const scratch = ctx.pool->Scratch(x_bytes + threads * Slot::Bytes(job));
  job.split_x = reinterpret_cast<uint16_t*>(scratch);

  const auto split = [&](size_t tile) {
    ctx.kernels->split->split_rows(x.row(tile * kSplitRows), x.stride(), job.Rows(tile), x.cols(),
                                   job.Tile(tile, 0));
  };
  ctx.pool->ParallelFor(job.tiles, std::ref(split));

  const size_t outputs = job.most_pairs * kSplitRows;
  size_t items = 0;
  for (const LinearPart& part : parts) items += DivideUp(part.w->out, outputs);
  const auto work = [&](size_t i, size_t thread) {
    MultiplyItem(job, FindItem(parts, outputs, i), Slot(job, scratch + x_bytes + thread * Slot::Bytes(job)));
  };
  ctx.pool->ParallelFor(items, std::ref(work));
}

}  // namespace mobilevlm
