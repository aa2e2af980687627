// Whole products on the shapes of the 1.7B model, all CPUs: build target ops_bench
// (-DMOBILEVLM_BENCHMARKS=ON), then ops_bench --benchmark_filter=fc1. Where oneDNN is installed
// (libdnnl-dev), its int8 product of the same shape stands beside ours, with one scale for the whole matrix
// and weights in the order it likes best: what the same CPU does without scales per block. Run it with
// OMP_NUM_THREADS equal to our threads.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/linear_scratch.h"
#include "ops/random_operands.h"
#ifdef MOBILEVLM_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace mobilevlm {
namespace {

struct Shape {
  const char* name;
  size_t tokens, in, out;
};
// 577 positions of the vision tower, a prompt of 190, one token, a few (speculation, a server's batch).
constexpr Shape kTower[] = {{"tower qkv", 577, 1024, 3072},
                            {"tower out", 577, 1024, 1024},
                            {"tower fc1", 577, 1024, 4096},
                            {"tower fc2", 577, 4096, 1024}};
constexpr Shape kPrompt[] = {{"prompt qkv", 190, 2048, 6144},
                             {"prompt out", 190, 2048, 2048},
                             {"prompt gate/up", 190, 2048, 11264},
                             {"prompt down", 190, 5632, 2048}};
constexpr Shape kToken = {"token gate/up", 1, 2048, 11264};
constexpr Shape kFewTokens[] = {{"2 tokens gate/up", 2, 2048, 11264},
                                {"4 tokens gate/up", 4, 2048, 11264},
                                {"8 tokens gate/up", 8, 2048, 11264},
                                {"16 tokens gate/up", 16, 2048, 11264}};
constexpr size_t kFew = 16;

void SetOperations(benchmark::State& state, const Shape& shape) {
  state.counters["OP/s"] = benchmark::Counter(2.0 * static_cast<double>(shape.tokens * shape.in * shape.out),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

// How a matrix is stored and packed.
struct Form {
  DType type;
  PackScales scales = PackScales::kAsStored;
  bool panels = false;  // as in the language model; else as in the tower
};

void Product(benchmark::State& state, const KernelTable* kernels, const Shape& shape, Form form) {
  // Few tokens must find their weights in memory, not in a cache: matrices take turns.
  constexpr size_t kManyBytes = size_t{256} << 20;
  const size_t bytes = shape.out * RowBytes(form.type, shape.in).value();
  test::TestWeights weights = test::RandomWeights(form.type, shape.out, shape.in, 1, form.scales);
  if (form.panels) test::AddPanels(weights);
  weights.view.may_split = !form.panels;
  std::vector<AlignedBuffer<std::byte>> copies(shape.tokens <= kFew ? kManyBytes / bytes : 1);
  for (AlignedBuffer<std::byte>& copy : copies) {
    std::copy(weights.packed.begin(), weights.packed.end(), copy.Reserve(weights.packed.size()));
  }
  const std::vector<float> x = test::RandomFloats(shape.tokens * shape.in, 2);
  std::vector<float> y(shape.tokens * shape.out);
  ThreadPool pool(0);
  LinearScratch scratch;
  OpsContext context{.pool = &pool, .kernels = kernels, .scratch = &scratch};
  LinearWeights view = weights.view;
  size_t turn = 0;
  for (auto _ : state) {
    const std::byte* copy = copies[turn++ % copies.size()].data();
    if (view.packed != nullptr) view.packed = copy;
    if (view.panels != nullptr) view.panels = copy;
    Linear(context, test::View(x, shape.tokens), view, test::View(y, shape.tokens));
    benchmark::DoNotOptimize(y.data());
  }
  if (shape.tokens > kFew) return SetOperations(state, shape);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.packed.size()));
}

#ifdef MOBILEVLM_HAVE_ONEDNN
void OneDnn(benchmark::State& state, const Shape& shape) {
  using dnnl::memory;
  const auto tokens = static_cast<memory::dim>(shape.tokens), in = static_cast<memory::dim>(shape.in),
             out = static_cast<memory::dim>(shape.out);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc x_desc({tokens, in}, memory::data_type::u8, memory::format_tag::ab);
  const memory::desc w_any({in, out}, memory::data_type::s8, memory::format_tag::any);
  const memory::desc y_desc({tokens, out}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr scaled;
  scaled.set_output_scales(0, {0.01f});
  const dnnl::matmul::primitive_desc plan({x_desc, w_any, y_desc}, scaled, engine);
  memory x(x_desc, engine), w(plan.weights_desc(), engine), y(y_desc, engine);
  for (memory* operand : {&x, &w}) {
    auto* bytes = static_cast<uint8_t*>(operand->get_data_handle());
    std::fill_n(bytes, operand->get_desc().get_size(), uint8_t{3});
  }
  const dnnl::matmul product(plan);
  for (auto _ : state) {
    product.execute(stream, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
    stream.wait();
  }
  SetOperations(state, shape);
}
#endif

void Register(const std::string& table, const KernelTable* kernels, const Shape& shape, Form form) {
  std::string name = std::string(shape.name) + "/" + std::string(DTypeName(form.type));
  if (form.scales == PackScales::kLongBlocks) name += ", longer blocks";
  if (form.panels) name += ", panels";
  benchmark::RegisterBenchmark((name + "/" + table).c_str(), Product, kernels, shape, form)->UseRealTime();
}

}  // namespace
}  // namespace mobilevlm

int main(int argc, char** argv) {
  using namespace mobilevlm;
  for (const KernelTable* kernels : RunnableKernels()) {
    for (const Shape& shape : kTower) {
      Register(kernels->name, kernels, shape, {DType::kQ8_0});
      Register(kernels->name, kernels, shape, {DType::kQ8_0, PackScales::kLongBlocks});
      Register(kernels->name, kernels, shape, {DType::kF16});
    }
    for (const Shape& shape : kPrompt) {
      for (DType type : {DType::kQ4_0, DType::kQ4_K, DType::kQ8_0})
        Register(kernels->name, kernels, shape, {type});
    }
    for (DType type : test::kQuantisedTypes) Register(kernels->name, kernels, kToken, {type});
    for (DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Form rows{type}, panels{.type = type, .panels = true};
      Register(kernels->name, kernels, kToken, panels);
      for (const Shape& shape : kFewTokens) Register(kernels->name, kernels, shape, panels);
      for (const Shape& shape : kPrompt) {
        Register(kernels->name, kernels, shape, rows);
        Register(kernels->name, kernels, shape, panels);
      }
    }
  }
#ifdef MOBILEVLM_HAVE_ONEDNN
  for (const auto& shapes : {std::span<const Shape>(kTower), std::span<const Shape>(kPrompt)}) {
    for (const Shape& shape : shapes) {
      benchmark::RegisterBenchmark((std::string(shape.name) + "/int8/oneDNN").c_str(), OneDnn, shape)
          ->UseRealTime();
    }
  }
#endif
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
