#include "ops/linear.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <optional>

#include "ops/formats.h"
#include "ops/linear_quantised.h"
#include "ops/pack_weights.h"

namespace mobilevlm {
namespace {

// Panels packed side by side before the tokens pass over them: with 32 outputs each, 256 KiB, a part of any
// L2 cache. One token tile then stays in L1 while it meets all of them.
constexpr size_t kPanelsPerBlock = 8;

// The operands of one call, and how they are cut.
struct Job {
  const KernelTable& kernels;
  KernelFormat format;
  Mat<const float> x;
  const LinearWeights& w;
  Mat<float> y;
  size_t width;    // outputs per panel
  size_t panels;   // over all outputs
  size_t k_bytes;  // of a full panel's k inputs in a row of weights

  const std::byte* Block(size_t panel, size_t k) const {
    return w.data + panel * width * w.row_bytes + k / kPanelK * k_bytes;
  }
  void Pack(size_t panel, size_t k, size_t depth, const std::byte* next, float* out) const {
    if (w.packed != nullptr) {
      UnpackToFloat(kernels, w, panel * width, width, k, depth, out);
    } else {
      kernels.pack_rows[format](Block(panel, k), w.row_bytes, Cols(panel), depth, next, out);
    }
  }
  size_t Cols(size_t panel) const { return std::min(width, w.out - panel * width); }
};

void StartFromBias(const Job& job, size_t begin, size_t end) {  // outputs [begin, end)
  for (size_t t = 0; t < job.y.rows(); ++t) {
    float* row = job.y.row(t);
    if (job.w.bias != nullptr) {
      std::memcpy(row + begin, job.w.bias + begin, (end - begin) * sizeof(float));
    } else {
      std::fill(row + begin, row + end, 0.0f);
    }
  }
}

// All tokens times the panels [first, first + count) over the inputs [k, k + depth), which `packed` holds.
void MultiplyBlock(const Job& job, size_t first, size_t count, size_t k, size_t depth, const float* packed) {
  alignas(64) float tile[kTileRows * kTileStride];
  const size_t tokens = job.x.rows();
  size_t tiles = (tokens + kTileRows - 1) / kTileRows;
  for (size_t t = 0; tiles > 0; --tiles) {
    const size_t rows = (tokens - t + tiles - 1) / tiles;  // as even as possible
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(tile + r * kTileStride, job.x.row(t + r) + k, depth * sizeof(float));
    }
    for (size_t p = 0; p < count; ++p) {
      job.kernels.gemm_panel(tile, rows, packed + p * kPanelK * job.width, depth,
                             job.y.row(t) + (first + p) * job.width, job.y.stride(), job.Cols(first + p));
    }
    t += rows;
  }
}

// Panels [begin, end): in blocks of `block` panels, each over all inputs in ascending order.
void MultiplyPanels(const Job& job, size_t begin, size_t end, size_t block, float* packed) {
  StartFromBias(job, begin * job.width, std::min(end * job.width, job.w.out));
  for (size_t first = begin; first < end; first += block) {
    const size_t count = std::min(block, end - first);
    for (size_t k = 0; k < job.w.in; k += kPanelK) {
      const size_t depth = std::min(kPanelK, job.w.in - k);
      for (size_t p = 0; p < count; ++p) {
        // What will be packed next: the panel beside, else the next inputs of the block's first panel, else
        // the start of the following block.
        const std::byte* next = nullptr;
        if (p + 1 < count) {
          next = job.Block(first + p + 1, k);
        } else if (k + kPanelK < job.w.in) {
          next = job.Block(first, k + kPanelK);
        } else if (first + count < job.panels) {
          next = job.Block(first + count, 0);
        }
        job.Pack(first + p, k, depth, next, packed + p * kPanelK * job.width);
      }
      MultiplyBlock(job, first, count, k, depth, packed);
    }
  }
}

void MultiplyFloat(const OpsContext& ctx, Mat<const float> x, const LinearWeights& w, Mat<float> y) {
  const size_t width = ctx.kernels->panel_width;
  const Job job{.kernels = *ctx.kernels,
                .format = FindKernelFormat(w.type).value_or(kFormatF32),  // not asked for packed weights
                .x = x,
                .w = w,
                .y = y,
                .width = width,
                .panels = (w.out + width - 1) / width,
                .k_bytes = RowBytes(w.type, kPanelK).value()};
  // Few tokens: the weights are streamed once through one panel that stays in L1. Many: a block of panels is
  // packed into L2 and every token tile passes over it.
  const bool few = x.rows() <= kTileRows;
  const size_t block = few ? 1 : std::min(kPanelsPerBlock, job.panels);
  const size_t threads = static_cast<size_t>(ctx.pool->threads());
  const size_t rounds = std::max<size_t>(1, job.panels / (threads * kPanelsPerBlock));
  const size_t items = std::min(job.panels, threads * rounds);

  // One slot per thread, each with its own packing buffer, taking items until none is left.
  std::atomic<size_t> next{0};
  const auto slot = [&](size_t) {
    AlignedBuffer<float> packed(block * kPanelK * width);
    for (size_t i = next++; i < items; i = next++) {
      MultiplyPanels(job, i * job.panels / items, (i + 1) * job.panels / items, block, packed.data());
    }
  };
  ctx.pool->ParallelFor(std::min(threads, items), std::ref(slot));
}

}  // namespace

void Linear(const OpsContext& ctx, Mat<const float> x, std::initializer_list<LinearPart> parts) {
  bool quantised = !ctx.float_activations && x.rows() > 0;
  for (const auto& [w, y] : parts) {
    MVLM_CHECK(x.cols() == w->in && y.cols() == w->out && x.rows() == y.rows() && w->out > 0,
               "x [{}, {}] times weights [{}, {}] into y [{}, {}]", x.rows(), x.cols(), w->out, w->in,
               y.rows(), y.cols());
    MVLM_CHECK(w->row_bytes >= RowBytes(w->type, w->in).value_or(SIZE_MAX), "{} bytes for a row of {} {}",
               w->row_bytes, w->in, DTypeName(w->type));
    MVLM_CHECK((w->packed != nullptr) == FindPackedFormat(w->type).has_value(), "{} weights, packed or not",
               DTypeName(w->type));
    quantised = quantised && w->packed != nullptr;
    if (ctx.observer != nullptr) ctx.observer->Observe(*w, x);
  }
  if (quantised) return LinearQuantised(ctx, x, {parts.begin(), parts.size()});
  if (x.rows() == 0) return;
  for (const auto& [w, y] : parts) {
    if (w->packed != nullptr && !ctx.float_activations) {
      const LinearPart part{w, y};
      LinearQuantised(ctx, x, {&part, 1});
    } else {
      MultiplyFloat(ctx, x, *w, y);
    }
  }
}

void Linear(const OpsContext& ctx, Mat<const float> x, const LinearWeights& w, Mat<float> y) {
  Linear(ctx, x, {{&w, y}});
}

}  // namespace mobilevlm
