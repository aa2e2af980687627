#include "synth/random_weights.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/divide_up.h"
#include "base/random.h"
#include "quantize/encode.h"

namespace mobilevlm {
namespace {

constexpr size_t kPoolElements = 1 << 18;
constexpr size_t kLeastRun = 32;            // elements that are copied together
constexpr size_t kChunkElements = 1 << 20;  // the work of one thread at a time
constexpr size_t kChunksPerThread = 2;      // per piece, so that threads finish about together

// Fills `out` with runs of `run` bytes from `pool`, whole runs, each starting at a multiple of `run`.
void Draw(std::span<const std::byte> pool, size_t run, Random random, std::span<std::byte> out) {
  const uint64_t runs = pool.size() / run;
  size_t at = 0;
  for (; out.size() - at >= run; at += run) std::memcpy(&out[at], &pool[random.Below(runs) * run], run);
  if (at < out.size()) std::memcpy(&out[at], &pool[random.Below(runs) * run], out.size() - at);
}

}  // namespace

RandomWeights::RandomWeights(uint64_t seed, int threads) : seed_(seed), threads_(threads) {
  normals_.resize(kPoolElements);
  Random random(seed);
  std::generate(normals_.begin(), normals_.end(), [&] { return static_cast<float>(random.Normal()); });
}

std::span<const std::byte> RandomWeights::Pool(DType type, Distribution distribution) {
  std::vector<std::byte>& pool = pools_[{type, distribution}];
  if (pool.empty()) {
    std::vector<float> values(normals_);
    for (float& value : values) value = distribution.mean + distribution.deviation * value;
    pool.resize(RowBytes(type, values.size()).value());
    Encode(type, values.data(), values.size(), nullptr, pool.data());
  }
  return pool;
}

Status RandomWeights::Stream(DType type, Distribution distribution, uint64_t elements,
                             const GgufWriter::ByteSink& sink) {
  const DTypeInfo& info = GetDTypeInfo(type);
  const std::span<const std::byte> pool = Pool(type, distribution);
  const auto bytes_of = [&info](uint64_t n) { return n / info.block_size * info.block_bytes; };
  MVLM_CHECK(elements % info.block_size == 0, "{} elements as {}", elements, info.name);
  const size_t run = bytes_of(std::max<size_t>(kLeastRun, info.block_size));
  const uint64_t total = bytes_of(elements);
  const size_t chunk = bytes_of(kChunkElements);
  const uint64_t stream = Random::Stream(seed_, ++tensors_).state();

  const size_t piece = chunk * kChunksPerThread * static_cast<size_t>(threads_.threads());
  buffer_.resize(std::min<uint64_t>(piece, total));
  for (uint64_t begin = 0; begin < total; begin += buffer_.size()) {
    const size_t size = std::min<uint64_t>(buffer_.size(), total - begin);
    threads_.ParallelFor(DivideUp(size, chunk), [&](size_t i) {
      const size_t at = i * chunk;
      Draw(pool, run, Random::Stream(stream, begin / chunk + i), {&buffer_[at], std::min(chunk, size - at)});
    });
    MVLM_TRY(sink({buffer_.data(), size}));
  }
  return {};
}

}  // namespace mobilevlm
