// Row kernels and the float tile of every table this CPU runs, in bytes and operations per second:
// build target kernels_bench (-DMOBILEVLM_BENCHMARKS=ON), then kernels_bench --benchmark_filter=rms_norm.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "tensor/mat.h"

namespace mobilevlm {
namespace {

constexpr size_t kRow = 2048;  // the hidden size of the 1.7B model

void SetBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
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
  state.counters["FLOP/s"] =
      benchmark::Counter(2.0 * static_cast<double>(kTileRows * kPanelK * kernels->panel_width),
                         benchmark::Counter::kIsIterationInvariantRate);
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
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
