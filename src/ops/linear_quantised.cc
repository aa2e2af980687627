#include "ops/linear_quantised.h"

#include <algorithm>
#include <array>
#include <functional>

#include "kernels/quant_kernels.h"
#include "ops/linear_outputs.h"
#include "ops/linear_scratch.h"
#include "ops/pack_weights.h"

namespace mobilevlm {
namespace {

// Inputs that are unpacked at once; the float sums of the pair of panels, 128 bytes per token, wait in the
// second-level cache meanwhile.
constexpr size_t kUnpackedInputs = kMostGemmInputs;
static_assert(kUnpackedInputs % 256 == 0, "whole units of every format");
constexpr size_t kPairOutputs = 2 * kPackedOutputs;
// Parts of one call: query, key and value.
constexpr size_t kMostParts = 3;
// One token or a few: panels are handed out in pieces of about this many bytes.
constexpr size_t kBytesPerItem = 64 * 1024;

// How the tokens are cut into tiles, as evenly as possible.
struct Tiling {
  Tiling(size_t tokens, size_t tile_rows) : rows(tokens), tiles((tokens + tile_rows - 1) / tile_rows) {}
  size_t Begin(size_t tile) const { return tile * rows / tiles; }
  size_t rows, tiles;
};

// One operand of the call with everything that follows from its format.
struct Part {
  const LinearWeights* w;
  Mat<float> y;
  PackedFormat format;
  PackedTraits traits;
  size_t panel_bytes;
  size_t panels;             // that hold outputs
  size_t items, first_item;  // pieces of work
  LinearScratch::Correction* correction;

  size_t Sums(size_t in) const { return in / traits.block * static_cast<size_t>(traits.sub_blocks); }
};

struct Job {
  const QuantKernels& kernels;
  const FewRowKernels* few;  // of these tokens, else nullptr
  Mat<const float> x;
  size_t block;  // of all parts' formats
  Tiling tiling;
  LinearScratch& scratch;
  std::span<Part> parts;

  size_t in() const { return x.cols(); }
  // The tile's activations from input k on, as kernels want them for this part.
  QuantisedRows Rows(const Part& part, size_t tile, size_t k) const {
    const size_t begin = tiling.Begin(tile), rows = tiling.Begin(tile + 1) - begin;
    const size_t blocks = k / block, subs = static_cast<size_t>(part.traits.sub_blocks);
    const size_t sums = begin * part.Sums(in()) + blocks * subs * rows;
    return {.rows = rows,
            .q = scratch.q.data() + begin * in() + k * rows,
            .scale = scratch.scale.data() + begin * (in() / block) + blocks * rows,
            .start = part.correction->start.data() + sums,
            .scaled_sums = part.correction->scaled_sums.data() + sums};
  }
};

bool SameCorrection(const PackedTraits& a, const PackedTraits& b) {
  return a.sub_blocks == b.sub_blocks && a.offset == b.offset && a.has_min == b.has_min;
}

// Parts of the same kind of format share their corrections.
void PrepareCorrections(Job& job) {
  const size_t count = job.x.rows() * (job.in() / 16);
  job.scratch.corrections.resize(std::max(job.scratch.corrections.size(), job.parts.size()));
  for (size_t p = 0; p < job.parts.size(); ++p) {
    Part& part = job.parts[p];
    part.correction = nullptr;
    for (size_t before = 0; before < p && part.correction == nullptr; ++before) {
      if (SameCorrection(job.parts[before].traits, part.traits))
        part.correction = job.parts[before].correction;
    }
    if (part.correction != nullptr) continue;
    part.correction = &job.scratch.corrections[p];
    part.correction->start.Reserve(count);
    part.correction->scaled_sums.Reserve(count);
  }
}

// start and scaled_sums of one tile from the sums of its quantised activations.
void Correct(const Job& job, const Part& part, size_t tile) {
  const size_t begin = job.tiling.Begin(tile), rows = job.tiling.Begin(tile + 1) - begin;
  const int32_t* sums = job.scratch.sums.data() + begin * (job.in() / 16);
  const float* scale = job.scratch.scale.data() + begin * (job.in() / job.block);
  int32_t* start = part.correction->start.data() + begin * part.Sums(job.in());
  float* scaled = part.correction->scaled_sums.data() + begin * part.Sums(job.in());
  const size_t sixteens = job.block / 16 / static_cast<size_t>(part.traits.sub_blocks);
  for (size_t b = 0; b < job.in() / job.block; ++b, scale += rows) {
    for (int s = 0; s < part.traits.sub_blocks; ++s, sums += sixteens * rows, start += rows, scaled += rows) {
      for (size_t r = 0; r < rows; ++r) {
        int32_t sum = sums[r];
        for (size_t i = 1; i < sixteens; ++i) sum += sums[i * rows + r];
        start[r] = -part.traits.offset * sum;
        scaled[r] = scale[r] * static_cast<float>(sum);
      }
    }
  }
}

void QuantiseTile(const Job& job, size_t tile) {
  const size_t begin = job.tiling.Begin(tile), rows = job.tiling.Begin(tile + 1) - begin, in = job.in();
  const auto quantise = job.few != nullptr ? job.few->quantise_rows : job.kernels.quantise_rows;
  quantise(job.x.row(begin), job.x.stride(), rows, in, job.block, job.scratch.q.data() + begin * in,
           job.scratch.scale.data() + begin * (in / job.block), job.scratch.sums.data() + begin * (in / 16));
  for (size_t p = 0; p < job.parts.size(); ++p) {
    const bool shared = job.parts[p].correction != &job.scratch.corrections[p];
    if (!shared) Correct(job, job.parts[p], tile);
  }
}

// One token times panels [begin, end).
void MultiplyOne(const Job& job, const Part& part, size_t begin, size_t end) {
  const QuantisedRows x = job.Rows(part, 0, 0);
  for (size_t panel = begin; panel < end; ++panel) {
    const size_t first = panel * kPackedOutputs, count = std::min(kPackedOutputs, part.w->out - first);
    alignas(64) float y[kPackedOutputs];
    CopyBias(*part.w, first, y);
    job.kernels.gemv[part.format](part.w->packed + panel * part.panel_bytes, job.in(), x, y);
    std::copy_n(y, count, part.y.row(0) + first);
  }
}

// A few tokens times panels [begin, end).
void MultiplyFew(const Job& job, const Part& part, size_t begin, size_t end) {
  const QuantisedRows x = job.Rows(part, 0, 0);
  alignas(64) float bias[kPackedOutputs], y[kMostQuantRows * kPackedOutputs];
  for (size_t panel = begin; panel < end; ++panel) {
    const size_t first = panel * kPackedOutputs, count = std::min(kPackedOutputs, part.w->out - first);
    CopyBias(*part.w, first, bias);
    for (size_t r = 0; r < x.rows; ++r) std::copy_n(bias, kPackedOutputs, y + r * kPackedOutputs);
    job.few->multiply[part.format](part.w->packed + panel * part.panel_bytes, job.in(), x, y);
    for (size_t r = 0; r < x.rows; ++r) std::copy_n(y + r * kPackedOutputs, count, part.y.row(r) + first);
  }
}

// The outputs that a tile, if there is one, is about to write.
void PrefetchTile(const Job& job, const Part& part, size_t tile, size_t first, size_t count) {
  if (tile == job.tiling.tiles) return;
  const size_t begin = job.tiling.Begin(tile), rows = job.tiling.Begin(tile + 1) - begin;
  PrefetchOutputs(Mat<float>(part.y.row(begin) + first, rows, count, part.y.stride()));
}

// The thread that gets a pair is not known, so each slot is ready before the loop.
void ReserveSlots(const Job& job, size_t threads) {
  const size_t most = std::min(job.in(), kUnpackedInputs);
  if (job.scratch.slots.size() < threads) job.scratch.slots.resize(threads);
  for (size_t thread = 0; thread < threads; ++thread) {
    LinearScratch::Slot& slot = job.scratch.slots[thread];
    slot.quants.Reserve(2 * most * kPackedOutputs);
    slot.scales.Reserve(2 * most);  // 16 outputs, one scale per 16 inputs at most
    slot.mins.Reserve(2 * most);
    slot.sums.Reserve(job.x.rows() * kPairOutputs);
  }
}

void CopyRows(StartSums from, size_t rows, size_t count, PairSums to) {
  for (size_t r = 0; r < rows; ++r) std::copy_n(from.row + r * from.stride, count, to.row + r * to.stride);
}

// All tokens times one pair of panels.
void MultiplyPair(const Job& job, const Part& part, size_t pair, const LinearScratch::Slot& slot) {
  const size_t first = pair * kPairOutputs, count = std::min(kPairOutputs, part.w->out - first);
  const size_t in = job.in(), most = std::min(in, kUnpackedInputs);
  const std::byte* packed = part.w->packed + 2 * pair * part.panel_bytes;
  uint8_t* quants = slot.quants.data();
  float *scales = slot.scales.data(), *mins = slot.mins.data();
  const UnpackedPanel panels[2] = {{quants, scales, mins},
                                   {quants + most * kPackedOutputs, scales + most, mins + most}};
  const auto gemm = job.kernels.gemm[part.format];
  alignas(64) float bias[kPairOutputs];
  float* sums = slot.sums.data();
  const bool whole = count == kPairOutputs;
  CopyBias(*part.w, first, bias);
  job.kernels.begin_gemm(part.traits.block, part.traits.sub_blocks);
  for (size_t k = 0; k < in; k += kUnpackedInputs) {
    const size_t depth = std::min(kUnpackedInputs, in - k);
    const std::byte* from = packed + PanelBytes(part.format, k);
    job.kernels.unpack[part.format](from, depth, panels[0]);
    job.kernels.unpack[part.format](from + part.panel_bytes, depth, panels[1]);
    const bool last = k + depth == in;
    for (size_t tile = 0; tile < job.tiling.tiles; ++tile) {
      const size_t begin = job.tiling.Begin(tile), end = job.tiling.Begin(tile + 1);
      if (last) PrefetchTile(job, part, tile + 1, first, count);
      const PairSums between{sums + begin * kPairOutputs, kPairOutputs};
      const PairSums y{part.y.row(begin) + first, part.y.stride()};
      // The sums start at the bias, or where the inputs before left them.
      const StartSums start = k == 0 ? StartSums{bias, 0} : StartSums{between.row, between.stride};
      gemm(panels, depth, job.Rows(part, tile, k), start, last && whole ? y : between);
      if (last && !whole) CopyRows({between.row, between.stride}, end - begin, count, y);
    }
  }
  job.kernels.end_gemm();
}

Part MakePart(const LinearPart& operand, bool pairs, size_t first_item) {
  Part part{};
  part.w = operand.w;
  part.y = operand.y;
  part.format = operand.w->format;
  part.traits = kPackedTraits[part.format];
  part.panel_bytes = PanelBytes(part.format, operand.w->in);
  part.panels = (operand.w->out + kPackedOutputs - 1) / kPackedOutputs;
  part.first_item = first_item;
  part.items = pairs ? (part.panels + 1) / 2
                     : std::clamp<size_t>(part.panels * part.panel_bytes / kBytesPerItem, 1, part.panels);
  return part;
}

}  // namespace

void LinearQuantised(const OpsContext& ctx, Mat<const float> x, std::span<const LinearPart> operands) {
  LinearScratch own;
  LinearScratch& scratch = ctx.scratch != nullptr ? *ctx.scratch : own;
  const size_t tokens = x.rows(), in = x.cols();
  MVLM_CHECK(operands.size() <= kMostParts, "{} parts", operands.size());
  std::array<Part, kMostParts> storage;
  const std::span<Part> parts(storage.data(), operands.size());
  const QuantKernels& kernels = *ctx.kernels->quant;
  const bool one = tokens == 1;
  const FewRowKernels* few = one ? nullptr : kernels.few_rows;
  if (few != nullptr && tokens > few->most_rows) few = nullptr;
  size_t items = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    parts[p] = MakePart(operands[p], !one && few == nullptr, items);
    items += parts[p].items;
  }
  const size_t block = parts[0].traits.block;
  for (const Part& part : parts)
    MVLM_CHECK(part.traits.block == block, "blocks of {} and {}", block, part.traits.block);
  Job job{kernels, few,  x, block, Tiling(tokens, few != nullptr ? tokens : kernels.tile_rows),
          scratch, parts};
  scratch.q.Reserve(tokens * in);
  scratch.scale.Reserve(tokens * (in / block));
  scratch.sums.Reserve(tokens * (in / 16));
  PrepareCorrections(job);
  if (!one && few == nullptr) ReserveSlots(job, static_cast<size_t>(ctx.pool->threads()));

  const auto quantise = [&](size_t tile) { QuantiseTile(job, tile); };
  ctx.pool->ParallelFor(job.tiling.tiles, std::ref(quantise));

  const auto work = [&](size_t i, size_t thread) {
    size_t p = 0;
    while (i >= parts[p].first_item + parts[p].items) ++p;
    const Part& part = parts[p];
    const size_t item = i - part.first_item;
    const size_t begin = item * part.panels / part.items, end = (item + 1) * part.panels / part.items;
    if (one) {
      MultiplyOne(job, part, begin, end);
    } else if (few != nullptr) {
      MultiplyFew(job, part, begin, end);
    } else {
      MultiplyPair(job, part, item, scratch.slots[thread]);
    }
  };
  ctx.pool->ParallelFor(items, std::ref(work));
}

void UnpackToFloat(const KernelTable& kernels, const LinearWeights& w, size_t begin, size_t width, size_t k,
                   size_t depth, float* out) {
  MVLM_CHECK(depth <= kPanelK, "{} inputs", depth);
  const PackedFormat format = w.format;
  const PackedTraits& traits = kPackedTraits[format];
  const size_t sub = traits.block / static_cast<size_t>(traits.sub_blocks);
  const bool is_signed = kernels.quant->signed_weights[format];
  alignas(64) uint8_t quants[kPanelK * kPackedOutputs];
  alignas(64) float scales[kPanelK / 16 * kPackedOutputs], mins[kPanelK / 16 * kPackedOutputs];
  for (size_t first = begin; first < begin + width;) {
    const size_t panel = first / kPackedOutputs, lane = first % kPackedOutputs;
    const size_t lanes = std::min(kPackedOutputs - lane, begin + width - first);
    const std::byte* from = w.packed + panel * PanelBytes(format, w.in) + PanelBytes(format, k);
    kernels.quant->unpack[format](from, depth, {quants, scales, mins});
    for (size_t i = 0; i < depth; ++i) {
      const uint8_t* group = quants + i / 4 * kPackedGroup + i % 4;
      for (size_t o = lane; o < lane + lanes; ++o) {
        const int q = is_signed ? static_cast<int8_t>(group[4 * o]) : group[4 * o] - traits.offset;
        const size_t at = i / sub * kPackedOutputs + o;
        out[i * width + (first - begin) + (o - lane)] =
            scales[at] * static_cast<float>(q) + (traits.has_min ? mins[at] : 0.0f);
      }
    }
    first += lanes;
  }
}

}  // namespace mobilevlm
