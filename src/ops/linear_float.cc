#include "ops/linear_float.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "ops/float_panels.h"
#include "ops/formats.h"
#include "ops/linear_outputs.h"
#include "ops/linear_panels.h"
#include "ops/linear_quantised.h"
#include "ops/linear_tiles.h"

namespace mobilevlm {
namespace {

// Panels packed side by side before the tokens pass over them: with 32 outputs each, 256 KiB, a part of any
// L2 cache. One token tile then stays in L1 while it meets all of them.
constexpr size_t kPanelsPerBlock = 8;
// Tiles that are worth packing the weights for: packing a panel costs about as much as multiplying one tile.
constexpr size_t kTilesPerGroup = 16;
constexpr size_t kFloatsPerLine = 64 / sizeof(float);

// The operands of one call, and how they are cut. Tokens form tiles, the unit of the kernel, and tiles form
// groups, as a rule one per thread: with ParallelFor's shares each thread then reads and writes the tokens
// that it also norms and activates.
struct Job {
  const KernelTable& kernels;
  KernelFormat format;
  const TiledRows& x;
  const LinearWeights& w;
  Mat<float> y;
  size_t width;    // outputs per panel
  size_t panels;   // over all outputs
  size_t k_bytes;  // of a full panel's k inputs in a row of weights

  const std::byte* Block(size_t panel, size_t k) const {
    return w.data + panel * width * w.row_bytes + k / kPanelK * k_bytes;
  }
  // `next` is the block that will be packed next.
  void Pack(size_t panel, size_t k, size_t depth, const std::byte* next, float* out) const {
    if (w.packed != nullptr) {
      UnpackToFloat(kernels, w, panel * width, width, k, depth, out);
    } else if (w.panels != nullptr) {
      const size_t first = panel * width, step = FloatPanelStep(w.type);
      kernels.pack_columns[format](w.panels + (first / kFloatPanelOutputs * w.in + k) * step, step,
                                   first % kFloatPanelOutputs, width, depth, out);
    } else {
      kernels.pack_rows[format](Block(panel, k), w.row_bytes, Cols(panel), depth, next, out);
    }
  }
  size_t Cols(size_t panel) const { return std::min(width, w.out - panel * width); }
};

struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};
Range Part(size_t n, size_t part, size_t parts) { return {part * n / parts, (part + 1) * n / parts}; }

void StartFromBias(const Job& job, size_t tile, size_t panel) {
  const size_t first = panel * job.width;
  for (size_t t = job.x.Token(tile); t < job.x.Token(tile + 1); ++t) {
    CopyBias(job.w, first, {job.y.row(t) + first, job.Cols(panel)});
  }
}

// The outputs of the panel that this tile meets next are on their way while it is busy with the one before.
void PrefetchOutputs(const Job& job, size_t tile, size_t panel) {
  PrefetchOutputs(Mat<float>(job.y.row(job.x.Token(tile)) + panel * job.width, job.x.Rows(tile),
                             job.Cols(panel), job.y.stride()));
}

// Part `part` of `parts` of a tile.
void PrefetchTile(const float* tile, size_t part, size_t parts) {
  constexpr size_t kLines = TiledRows::kTileFloats / kFloatsPerLine;
  for (size_t line = part * kLines / parts; line < (part + 1) * kLines / parts; ++line) {
    __builtin_prefetch(tile + line * kFloatsPerLine);
  }
}

// The tiles times the panels over the inputs [k, k + depth), which `packed` holds.
void MultiplyBlock(const Job& job, Range tiles, Range panels, size_t k, size_t depth, const float* packed) {
  PrefetchOutputs(job, tiles.begin, panels.begin);
  for (size_t tile = tiles.begin; tile < tiles.end; ++tile) {
    const size_t token = job.x.Token(tile);
    const bool last = tile + 1 == tiles.end;
    for (size_t panel = panels.begin; panel < panels.end; ++panel) {
      if (k == 0) StartFromBias(job, tile, panel);
      if (!last) PrefetchTile(job.x.Tile(tile + 1, k), panel - panels.begin, panels.size());
      if (panel + 1 < panels.end) {
        PrefetchOutputs(job, tile, panel + 1);
      } else if (!last) {
        PrefetchOutputs(job, tile + 1, panels.begin);
      }
      job.kernels.gemm_panel(job.x.Tile(tile, k), job.x.Token(tile + 1) - token,
                             packed + (panel - panels.begin) * kPanelK * job.width, depth,
                             job.y.row(token) + panel * job.width, job.y.stride(), job.Cols(panel));
    }
  }
}

// The rows that will be read after those of this panel and k, if weights lie in rows: of the panel beside,
// else the next inputs of the block's first panel, else the start of the following block.
const std::byte* NextBlock(const Job& job, Range block, size_t panel, size_t k) {
  if (job.w.packed != nullptr || job.w.panels != nullptr) return nullptr;
  if (panel + 1 < block.end) return job.Block(panel + 1, k);
  if (k + kPanelK < job.w.in) return job.Block(block.begin, k + kPanelK);
  return block.end < job.panels ? job.Block(block.end, 0) : nullptr;
}

// The tiles times the panels, in blocks of `block` panels, each over all inputs in ascending order.
void MultiplyPanels(const Job& job, Range tiles, Range panels, size_t block, float* packed) {
  // Rows of weights that are used once need no panel.
  const bool in_place = job.x.x.rows() == 1 && job.w.packed == nullptr && job.w.panels == nullptr;
  for (size_t first = panels.begin; first < panels.end; first += block) {
    const Range now{first, std::min(first + block, panels.end)};
    for (size_t k = 0; k < job.w.in; k += kPanelK) {
      const size_t depth = std::min(kPanelK, job.w.in - k);
      for (size_t panel = now.begin; panel < now.end; ++panel) {
        const std::byte* const next = NextBlock(job, now, panel, k);
        if (in_place) {
          if (k == 0) StartFromBias(job, 0, panel);
          job.kernels.gemv_rows[job.format](job.x.Tile(0, k), job.Block(panel, k), job.w.row_bytes,
                                            job.Cols(panel), depth, next, job.y.row(0) + panel * job.width);
        } else {
          job.Pack(panel, k, depth, next, packed + (panel - now.begin) * kPanelK * job.width);
        }
      }
      if (!in_place) MultiplyBlock(job, tiles, now, k, depth, packed);
    }
  }
}

// The tokens, in tiles, times every matrix of `parts`.
void MultiplyTiles(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts) {
  const size_t width = ctx.kernels->panel_width;
  const size_t threads = static_cast<size_t>(ctx.pool->threads());
  TiledRows tiled(x);
  const size_t tiles = tiled.tiles, x_floats = tiled.floats();
  // One tile: the weights are streamed once through one panel that stays in L1. More: a block of panels is
  // packed into L2 and every tile passes over it.
  const size_t block = tiles == 1 ? 1 : kPanelsPerBlock;
  const size_t packed_floats = block * kPanelK * width;
  tiled.data =
      reinterpret_cast<float*>(ctx.pool->Scratch((x_floats + threads * packed_floats) * sizeof(float)));
  tiled.Copy(ctx);

  for (const LinearPart& part : parts) {
    const Job job{.kernels = *ctx.kernels,
                  .format = FindKernelFormat(part.w->type).value_or(kFormatF32),  // packed: not asked for
                  .x = tiled,
                  .w = *part.w,
                  .y = part.y,
                  .width = width,
                  .panels = (part.w->out + width - 1) / width,
                  .k_bytes = RowBytes(part.w->type, kPanelK).value()};
    const size_t groups = std::clamp<size_t>(tiles / kTilesPerGroup, 1, threads);
    const size_t rounds = std::max<size_t>(1, job.panels * groups / (threads * kPanelsPerBlock));
    const size_t cuts =
        std::min(job.panels, (threads * rounds + groups - 1) / groups);  // of a group's panels
    const auto item = [&](size_t i, size_t thread) {
      MultiplyPanels(job, Part(tiles, i / cuts, groups), Part(job.panels, i % cuts, cuts), block,
                     tiled.data + x_floats + thread * packed_floats);
    };
    ctx.pool->ParallelFor(groups * cuts, std::ref(item));
  }
}

}  // namespace

void LinearFloat(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> parts) {
  const bool panels = std::all_of(parts.begin(), parts.end(),
                                  [](const LinearPart& part) { return part.w->panels != nullptr; });
  if (panels && x.rows() <= kMostPanelTokens) return LinearPanels(ctx, x, parts);
  MultiplyTiles(ctx, x, parts);
}

}  // namespace mobilevlm
