// Row kernels, the float tile, and the integer products of every table this CPU runs, in bytes and operations
// per second, on operands that stay in the caches: build target kernels_bench (-DMOBILEVLM_BENCHMARKS=ON),
// then kernels_bench --benchmark_filter=rms_norm. Whole products, from memory and by all CPUs: ops_bench.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/quant_kernels.h"
#include "tensor/mat.h"

namespace mobilevlm {
namespace {

constexpr size_t kRow = 2048;   // the hidden size of the 1.7B model
constexpr size_t kDepth = 256;  // inputs of one integer product
constexpr size_t kPairOutputs = 2 * kPackedOutputs;

void SetBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

void SetOperations(benchmark::State& state, const char* name, size_t multiplications) {
  state.counters[name] = benchmark::Counter(2.0 * static_cast<double>(multiplications),
                                            benchmark::Counter::kIsIterationInvariantRate);
}

void RmsNorm(benchmark::State& state, const KernelTable* kernels) {
  const std::vector<float> x(kRow, 0.5f), gamma(kRow, 1.0f);
  std::vector<float> y(kRow);
  for (auto _ : state) {
    kernels->rms_norm(x.data(), gamma.data(), 1e-6f, kRow, y.data());
    benchmark::DoNotOptimize(y.data());
  }
  SetBytes(state, 3 * kRow * sizeof(float));
}

void SwiGlu(benchmark::State& state, const KernelTable* kernels) {
  const std::vector<float> gate(kRow, 0.5f), up(kRow, 1.0f);
  std::vector<float> y(kRow);
  for (auto _ : state) {
    kernels->swiglu(gate.data(), up.data(), kRow, y.data());
    benchmark::DoNotOptimize(y.data());
  }
  SetBytes(state, 3 * kRow * sizeof(float));
}

void GemmPanel(benchmark::State& state, const KernelTable* kernels) {
  AlignedBuffer<float> x(kTileRows * kTileStride), panel(kPanelK * kernels->panel_width);
  AlignedBuffer<float> y(kTileRows * kernels->panel_width);
  for (AlignedBuffer<float>* buffer : {&x, &panel, &y}) {
    for (size_t i = 0; i < buffer->capacity(); ++i) buffer->data()[i] = 0;
  }
  for (auto _ : state) {
    kernels->gemm_panel(x.data(), kTileRows, panel.data(), kPanelK, y.data(), kernels->panel_width,
                        kernels->panel_width);
    benchmark::DoNotOptimize(y.data());
  }
  SetOperations(state, "FLOP/s", kTileRows * kPanelK * kernels->panel_width);
}

// What files hold most, and what the tower's Q8_0 is packed into.
struct Format {
  const char* name;
  PackedFormat packed;
};
constexpr Format kFormats[] = {{"q4_0", kPackedQ4_0},
                               {"q8_0", kPackedQ8_0},
                               {"q4_k", kPackedQ4_K},
                               {"q6_k", kPackedQ6_K},
                               {"long", kPackedLong}};

// `rows` rows of kRow activations as a format wants them; the numbers do not matter to the time.
struct Activations {
  Activations(const QuantKernels& quant, size_t row_count, size_t block)
      : x(row_count * kRow, 0.5f),
        rows(row_count),
        q(x.size()),
        scale(x.size()),
        sums(x.size()),
        scaled_sums(x.size()) {
    quant.quantise_rows(x.data(), kRow, rows, kRow, block, q.data(), scale.data(), sums.data());
  }
  QuantisedRows view() const { return {rows, q.data(), scale.data(), sums.data(), scaled_sums.data()}; }

  std::vector<float> x;
  size_t rows;
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sums;
  std::vector<float> scaled_sums;
};

size_t PanelSize(const PackedTraits& traits) { return kRow / traits.unit_inputs * traits.unit_bytes; }

void QuantiseRows(benchmark::State& state, const QuantKernels* quant) {
  Activations a(*quant, quant->tile_rows, kQuantBlock);
  for (auto _ : state) {
    quant->quantise_rows(a.x.data(), kRow, a.rows, kRow, kQuantBlock, a.q.data(), a.scale.data(),
                         a.sums.data());
    benchmark::DoNotOptimize(a.q.data());
  }
  SetBytes(state, a.x.size() * (sizeof(float) + sizeof(int8_t)));
}

void QuantGemv(benchmark::State& state, const QuantKernels* quant, Format format) {
  const PackedTraits& traits = kPackedTraits[format.packed];
  const Activations a(*quant, 1, traits.block);
  const std::vector<std::byte> panel(PanelSize(traits));
  std::vector<float> y(kPackedOutputs);
  for (auto _ : state) {
    quant->gemv[format.packed](panel.data(), kRow, a.view(), y.data());
    benchmark::DoNotOptimize(y.data());
  }
  SetBytes(state, panel.size());
}

// Some inputs of two panels, times as many rows as the table takes.
void QuantGemm(benchmark::State& state, const QuantKernels* quant, Format format) {
  const PackedTraits& traits = kPackedTraits[format.packed];
  const Activations a(*quant, quant->tile_rows, traits.block);
  const std::vector<std::byte> packed(PanelSize(traits));
  const size_t scales = kDepth / traits.block * static_cast<size_t>(traits.sub_blocks) * kPackedOutputs;
  AlignedBuffer<uint8_t> quants(kDepth * kPackedOutputs);
  AlignedBuffer<float> panel_scales(scales), mins(scales), y(a.rows * kPairOutputs);
  const UnpackedPanel panel{quants.data(), panel_scales.data(), mins.data()};
  quant->unpack[format.packed](packed.data(), kDepth, panel);
  const UnpackedPanel pair[2] = {panel, panel};
  const float bias[kPairOutputs] = {};
  quant->begin_gemm(traits.block, traits.sub_blocks);
  for (auto _ : state) {
    quant->gemm[format.packed](pair, kDepth, a.view(), {bias, 0}, {y.data(), kPairOutputs});
    benchmark::DoNotOptimize(y.data());
  }
  quant->end_gemm();
  SetOperations(state, "OP/s", a.rows * kDepth * kPairOutputs);
}

}  // namespace
}  // namespace mobilevlm

int main(int argc, char** argv) {
  using namespace mobilevlm;
  for (const KernelTable* kernels : RunnableKernels()) {
    const std::string suffix = std::string("/") + kernels->name;
    benchmark::RegisterBenchmark(("rms_norm" + suffix).c_str(), RmsNorm, kernels);
    benchmark::RegisterBenchmark(("swiglu" + suffix).c_str(), SwiGlu, kernels);
    benchmark::RegisterBenchmark(("gemm_panel" + suffix).c_str(), GemmPanel, kernels);
    benchmark::RegisterBenchmark(("quantise_rows" + suffix).c_str(), QuantiseRows, kernels->quant);
    for (const Format& format : kFormats) {
      const std::string name = std::string(format.name) + suffix;
      benchmark::RegisterBenchmark(("quant_gemv/" + name).c_str(), QuantGemv, kernels->quant, format);
      benchmark::RegisterBenchmark(("quant_gemm/" + name).c_str(), QuantGemm, kernels->quant, format);
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
