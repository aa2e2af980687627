#include "ops/linear_panels.h"

#include <algorithm>
#include <functional>

#include "ops/float_panels.h"
#include "ops/formats.h"
#include "ops/linear_outputs.h"
#include "ops/linear_tiles.h"

namespace mobilevlm {
namespace {

// A panel of one part: what one thread computes at a time.
struct Item {
  const LinearPart* part;
  const std::byte* panel;
  size_t first, count;    // outputs
  const std::byte* next;  // where this thread goes on, as a rule; or nullptr
};

const std::byte* Panel(const LinearWeights& w, size_t panel) {
  return w.panels + panel * w.in * FloatPanelStep(w.type);
}

// Panel i of all parts'.
Item FindItem(std::span<const LinearPart> parts, size_t i) {
  const LinearPart* part = parts.data();
  for (; i >= FloatPanels(part->w->out); ++part) i -= FloatPanels(part->w->out);
  const LinearWeights& w = *part->w;
  const std::byte* next = nullptr;
  if (i + 1 < FloatPanels(w.out)) {
    next = Panel(w, i + 1);
  } else if (part != &parts.back()) {
    next = part[1].w->panels;
  }
  const size_t first = i * kFloatPanelOutputs;
  return {part, Panel(w, i), first, std::min(kFloatPanelOutputs, w.out - first), next};
}

void MultiplyOne(const KernelTable& kernels, const float* x, const Item& item) {
  const LinearWeights& w = *item.part->w;
  float* y = item.part->y.row(0) + item.first;
  CopyBias(w, item.first, {y, item.count});
  kernels.gemv_columns[GetKernelFormat(w.type)](x, item.panel, FloatPanelStep(w.type), item.count, w.in,
                                                item.next, y);
}

void MultiplyFew(const KernelTable& kernels, const TiledRows& x, const Item& item) {
  const LinearWeights& w = *item.part->w;
  const Mat<float> y = item.part->y;
  const auto multiply = kernels.gemm_wide_panel[GetKernelFormat(w.type)];
  for (size_t t = 0; t < y.rows(); ++t) CopyBias(w, item.first, {y.row(t) + item.first, item.count});
  for (size_t k = 0; k < w.in; k += kPanelK) {  // so much of a panel stays in a cache for the second tile
    const size_t depth = std::min(kPanelK, w.in - k);
    const std::byte* block = item.panel + k * FloatPanelStep(w.type);
    const std::byte* next = k + depth < w.in ? block + depth * FloatPanelStep(w.type) : item.next;
    for (size_t tile = 0; tile < x.tiles; ++tile) {
      multiply(x.Tile(tile, k), x.Rows(tile), block, depth, tile == 0 ? next : nullptr,
               y.row(x.Token(tile)) + item.first, y.stride(), item.count);
    }
  }
}

}  // namespace

void LinearPanels(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts) {
  size_t items = 0;
  for (const LinearPart& part : parts) items += FloatPanels(part.w->out);
  const auto share = [&](const auto& multiply) {
    const auto work = [&](size_t i) { multiply(FindItem(parts, i)); };
    ctx.pool->ParallelFor(items, std::ref(work));
  };
  if (x.rows() == 1) return share([&](const Item& item) { MultiplyOne(*ctx.kernels, x.row(0), item); });
  TiledRows tiled(x);
  tiled.data = reinterpret_cast<float*>(ctx.pool->Scratch(tiled.floats() * sizeof(float)));
  tiled.Copy(ctx);
  share([&](const Item& item) { MultiplyFew(*ctx.kernels, tiled, item); });
}

}  // namespace mobilevlm
